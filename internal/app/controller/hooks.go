package controller

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/controllers/refresh"
	"github.com/larder-dev/larder/internal/hooks"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/options/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// ears are where registries tell of pushes, on every replica. Nil ears are switched off.
type ears struct {
	listener net.Listener
	handler  *hooks.Handler
	log      logr.Logger
}

// listenToRegistries takes the address of the hooks, if there is one.
func listenToRegistries(ctx context.Context, o controller.Options, log logr.Logger) (*ears, error) {
	if o.Hooks == nil {
		return nil, nil
	}
	listener, err := httpx.Listen(ctx, o.Hooks.Listen)
	if err != nil {
		return nil, fmt.Errorf("--hooks-listen: %w", err)
	}
	return &ears{listener: listener, log: log.WithName("hooks")}, nil
}

func (e *ears) prepare(m manager.Manager, o controller.Options) {
	if e == nil {
		return
	}
	e.handler = hooks.New(hooks.Options{
		Secrets: o.Hooks.Secrets, Refresher: refresh.New(m.GetClient()), Metrics: metrics.NewHooks(ctrlmetrics.Registry), Log: e.log,
	})
}

// serve answers registries until ctx ends.
func (e *ears) serve(ctx context.Context) error {
	if e == nil {
		return nil
	}
	go e.handler.Run(ctx) // ends with ctx, and writes nothing then
	mux := http.NewServeMux()
	mux.Handle(hooks.Path, e.handler)
	return httpx.Serve(ctx, e.listener, mux, httpx.Options{Log: e.log, Drain: drain})
}

func (e *ears) close() {
	if e != nil {
		_ = e.listener.Close() // closed already where it was served
	}
}

// addr is empty where the hooks are off.
func (e *ears) addr() string {
	if e == nil {
		return ""
	}
	return e.listener.Addr().String()
}
