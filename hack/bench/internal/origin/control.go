package origin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Control gives orders to an origin in another process.
type Control struct {
	URL string // of its control address
}

// Set changes how the origin answers, from the next request on.
func (c Control) Set(ctx context.Context, m Mode) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding a mode: %w", err)
	}
	_, err = c.do(ctx, http.MethodPut, "/mode", body)
	return err
}

// Forget begins the counts anew.
func (c Control) Forget(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodDelete, "/sent", nil)
	return err
}

// Sent returns the counts.
func (c Control) Sent(ctx context.Context) (Sent, error) {
	body, err := c.do(ctx, http.MethodGet, "/sent", nil)
	if err != nil {
		return Sent{}, err
	}
	var s Sent
	if err := json.Unmarshal(body, &s); err != nil {
		return Sent{}, fmt.Errorf("reading the origin's counts: %w", err)
	}
	return s, nil
}

func (c Control) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ordering the origin: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ordering the origin: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, answer)
	}
	if err != nil {
		return nil, fmt.Errorf("ordering the origin: %w", err)
	}
	return answer, nil
}
