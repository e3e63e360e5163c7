package server

import (
	"context"
	"os/exec"
	"path/filepath"

	"github.com/larder-dev/larder/hack/bench/internal/origin"
	"github.com/larder-dev/larder/hack/bench/internal/process"
)

// Registry is a running origin.
type Registry struct {
	*Server
	origin.Control
}

// StartOrigin starts the origin, which serves the content, and waits until it answers.
func (b Binaries) StartOrigin(ctx context.Context, dir, content string) (*Registry, error) {
	address, err := FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	control, err := FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p, err := process.Start(exec.CommandContext(ctx, b.Self, "origin", content, address, control), filepath.Join(dir, "origin.log"))
	if err != nil {
		return nil, err
	}
	r := &Registry{Server: &Server{Process: p, Address: address, prefix: "/v2/"}, Control: origin.Control{URL: "http://" + control}}
	if err := r.await(ctx); err != nil {
		r.Kill()
		return nil, err
	}
	return r, nil
}

// Base is the URL that caches are given.
func (r *Registry) Base() string { return "http://" + r.Address }
