package server

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-dev/larder/internal/app/owner"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/events"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/tests/sink"
)

// What larder serve evicts it looks for each five minutes.
func TestEvicting_ReachesASink(t *testing.T) {
	t.Parallel()
	to := sink.New(t)
	u, err := events.ParseSink(to.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{
		Options: owner.Options{Cache: serve.Cache{Data: t.TempDir(), Events: serve.Events{Sink: u}}, Log: testr.New(t)},
		Source:  "/larder/test", Changes: metrics.NewEvents(prometheus.NewRegistry()),
	})
	if err := s.openTeller(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.teller.Run(ctx) })
	defer running.Wait()
	defer cancel()
	ref := imageref.Reference{Repository: imageref.Repository{Host: "reg.example", Path: "app"}, Tag: "1"}
	dgst := digest.FromString("evicted")
	s.Evicting(ref, cache.Image{Digest: dgst, Size: 7, ChangedAt: time.Now(), CheckedAt: time.Now()})
	to.Await(t, ref.String(), "evicted", map[string]string{"image": ref.String(), "digest": dgst.String(), "reason": "OverLimit"})
}
