package server

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-dev/larder/internal/app/owner"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/store"
)

// Both are due five minutes after the start.
func TestRoutine_M4_AnEvictionWaitsForASweep(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	keepManifest(t, data)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var crowded atomic.Int32
		o := owner.Options{
			Cache: serve.Cache{
				Data: data, Limit: cache.Limit{High: 1, Low: 1}, Sweep: serve.Sweep{Interval: time.Hour, Grace: time.Hour},
			},
			Policies: &policy.Current{}, Metrics: metrics.New(prometheus.NewRegistry()), Log: testr.New(t),
			KeepDigest: func(imageref.Repository, digest.Digest) bool {
				<-release
				return true
			},
			OnCrowded: func(int64, cache.Limit) { crowded.Add(1) },
		}
		s := New(Options{Options: o})
		var err error
		if s.owner, err = owner.Open(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.sweep(ctx) })
		running.Go(func() { s.evict(ctx) })
		time.Sleep(evictEvery)
		synctest.Wait()
		close(release)
		synctest.Wait()
		if n := crowded.Load(); n != 1 {
			t.Errorf("the limit was looked at %d times, want once, after the sweep", n)
		}
		stop()
		running.Wait()
		if err := s.owner.Close(); err != nil {
			t.Error(err)
		}
	})
}

// keepManifest puts a manifest that no tag names into a store.
func keepManifest(t *testing.T, data string) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Data: data, Log: testr.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("{}")
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(body), Size: int64(len(body))}
	if err := s.PutManifest(t.Context(), imageref.Repository{Host: "reg.example", Path: "app"}, desc, body); err != nil {
		t.Fatal(err)
	}
}
