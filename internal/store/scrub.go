package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/time/rate"
)

const (
	// scrubPath is where the scrub is.
	scrubPath = "/larder/scrub/position"
	// scrubParts is in how many parts a store is scrubbed: the folders of blobs, by the first two digits of their digests.
	scrubParts = 256
	// scrubSlowest is how many bytes a second are read at least, so that a part is not read for hours that takes minutes.
	scrubSlowest = 1 << 20
	// scrubBuffer is how much is read at a time.
	scrubBuffer = 256 << 10
)

// ScrubReport is what came of scrubbing a part of the store.
type ScrubReport struct {
	Blobs int
	Bytes int64
	Bad   []digest.Digest // removed: what is known as bad is never served
	Next  time.Time       // when the next part is due
}

type scrubPosition struct {
	Part int       `json:"part"` // the next one
	Due  time.Time `json:"due"`
}

// Scrub reads and hashes the part of the store that is due (rule B5): all of it takes a period. What does not have its digest, or cannot be
// read from the disk any more, is removed and reported as damaged. The position is in the store, so that a restart goes on there.
func (s *Store) Scrub(ctx context.Context, period time.Duration, now func() time.Time) (ScrubReport, error) {
	position, err := s.scrubPosition(ctx)
	if err != nil {
		return ScrubReport{}, fmt.Errorf("scrubbing: %w", err)
	}
	began, each := now(), period/scrubParts
	if position.Due.After(began) && !position.Due.After(began.Add(each)) {
		return ScrubReport{Next: position.Due}, nil
	}
	report, err := s.scrubPart(ctx, position.Part, each)
	if err != nil {
		return report, fmt.Errorf("scrubbing: %w", err)
	}
	report.Next = began.Add(each)
	content, err := json.Marshal(scrubPosition{(position.Part + 1) % scrubParts, report.Next})
	if err == nil {
		err = s.writer.put(ctx, scrubPath, content)
	}
	if err != nil {
		return report, fmt.Errorf("noting how far the scrub is: %w", err)
	}
	return report, nil
}

// scrubPosition is the first part where nothing is known.
func (s *Store) scrubPosition(ctx context.Context) (position scrubPosition, err error) {
	content, err := s.read(ctx, scrubPath)
	if errors.Is(err, ErrNotFound) {
		return position, nil
	}
	if json.Unmarshal(content, &position) != nil || position.Part < 0 || position.Part >= scrubParts {
		return scrubPosition{}, err
	}
	return position, err
}

// scrubPart reads a part within the time that there is for it, as evenly as it can.
func (s *Store) scrubPart(ctx context.Context, part int, within time.Duration) (report ScrubReport, err error) {
	var blobs []digest.Digest
	for _, algorithm := range algorithms {
		some, err := s.digests(ctx, path.Join(blobsRoot, algorithm.String(), fmt.Sprintf("%02x", part)), algorithm)
		if err != nil {
			return report, err
		}
		blobs = append(blobs, some...)
	}
	var total int64
	blobs = slices.DeleteFunc(blobs, func(dgst digest.Digest) bool {
		seen, err := s.state(ctx, dgst)
		total += seen.size
		return errors.Is(err, ErrNotFound) // the folder of one that was damaged
	})
	speed := max(scrubSlowest, float64(total)/max(within.Seconds()/2, 1))
	limit := rate.NewLimiter(rate.Limit(speed), scrubBuffer)
	for _, dgst := range blobs {
		n, bad, err := s.scrubBlob(ctx, dgst, limit)
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		if err != nil { // the next round looks at it again; the others must not wait for it
			s.log.Error(err, "a blob could not be scrubbed", "digest", dgst)
			continue
		}
		report.Blobs++
		report.Bytes += n
		if bad {
			report.Bad = append(report.Bad, dgst)
		}
	}
	return report, nil
}

// scrubBlob hashes a blob, and removes it where it is bad. One that is gone meanwhile is nobody's business.
func (s *Store) scrubBlob(ctx context.Context, dgst digest.Digest, limit *rate.Limiter) (n int64, bad bool, err error) {
	seen, err := s.state(ctx, dgst)
	if errors.Is(err, ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	intact, err := s.hash(ctx, dgst, limit)
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, false, nil
	case errors.Is(err, syscall.EIO): // as bad as flipped: nobody else can read it either
	case err != nil:
		return 0, false, fmt.Errorf("reading blob %s: %w", dgst, err)
	case intact:
		return seen.size, false, nil
	}
	if err := s.condemn(ctx, dgst, seen); !errors.Is(err, ErrNotFound) {
		return 0, false, err
	}
	_, err = s.state(ctx, dgst)
	return seen.size, errors.Is(err, ErrNotFound), nil
}

// hash is verify at a limited rate, and without leaving the file in memory that others use.
func (s *Store) hash(ctx context.Context, dgst digest.Digest, limit *rate.Limiter) (bool, error) {
	reader, err := s.driver.Reader(ctx, blobPath(dgst), 0)
	if err != nil {
		return false, fromDriver(err)
	}
	defer reader.Close()
	defer forgetCached(reader)
	verifier := dgst.Verifier()
	buf := make([]byte, scrubBuffer)
	for {
		n, err := reader.Read(buf)
		_, _ = verifier.Write(buf[:n]) // a hash never fails
		if errors.Is(err, io.EOF) {
			return verifier.Verified(), nil
		}
		if err != nil {
			return false, err
		}
		if err := limit.WaitN(ctx, n); err != nil {
			return false, err
		}
	}
}
