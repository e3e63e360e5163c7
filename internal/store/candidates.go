package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// candidatesPath is what the last mark found unreachable: a line of JSON, then the keys in their order.
const candidatesPath = "/larder/sweep/candidates"

// candidates are what a mark found unreachable.
type candidates struct {
	Version int       `json:"version"`
	At      time.Time `json:"at"` // when the mark had ended
	Count   int       `json:"count"`
	keys    keySet
}

// readCandidates returns the candidates of the last mark; nil where there are none, or they cannot be read: then a new mark begins.
func (s *Store) readCandidates(ctx context.Context) (*candidates, error) {
	return s.readKeys(ctx, candidatesPath)
}

// readKeys reads what writeKeys wrote; nil where there is none.
func (s *Store) readKeys(ctx context.Context, path string) (*candidates, error) {
	content, err := s.read(ctx, path)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	line, rest, _ := bytes.Cut(content, []byte("\n"))
	c := &candidates{}
	if json.Unmarshal(line, c) != nil || c.Version != 1 || len(rest) != c.Count*len(key{}) {
		return nil, nil //nolint:nilerr // as good as missing
	}
	c.keys.sorted = make([]key, c.Count)
	for i := range c.keys.sorted {
		c.keys.sorted[i] = key(rest[i*len(key{}):])
	}
	return c, nil
}

func (s *Store) writeCandidates(ctx context.Context, c *candidates) error {
	return s.writeKeys(ctx, candidatesPath, c)
}

func (s *Store) writeKeys(ctx context.Context, path string, c *candidates) error {
	c.keys.settle()
	c.Version, c.Count = 1, len(c.keys.sorted)
	content, err := json.Marshal(c)
	if err != nil {
		return err
	}
	content = append(content, '\n')
	for _, k := range c.keys.sorted {
		content = append(content, k[:]...)
	}
	if err := s.writer.put(ctx, path, content); err != nil {
		return fmt.Errorf("writing what was found unreachable: %w", err)
	}
	return nil
}
