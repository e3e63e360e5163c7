package cache

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/tests/origin"
)

// BenchmarkEviction pulls new images of two layers, alone, and into a store that is kept at 32 MiB all the while: as soon as one round of
// evictions has ended the next begins, where larder serve looks every five minutes.
func BenchmarkEviction(b *testing.B) {
	for _, bench := range []struct {
		name  string
		limit Limit
	}{{"none", Limit{}}, {"always", Limit{High: 32 << 20, Low: 24 << 20}}} {
		b.Run(bench.name, func(b *testing.B) {
			f := newFixture(b)
			ctx, stop := context.WithCancel(b.Context())
			var evicting sync.WaitGroup
			if bench.limit != (Limit{}) {
				evicting.Go(func() {
					for ctx.Err() == nil {
						if err := f.Evict(ctx, bench.limit); err != nil && ctx.Err() == nil {
							b.Error(err)
						}
					}
				})
			}
			var took []time.Duration
			for b.Loop() {
				name := fmt.Sprintf("app%d", len(took))
				b.StopTimer()
				img := f.origin.Push(b, name+":1", origin.RandomImage(2, 512<<10))
				b.StartTimer()
				began := time.Now()
				f.pullWhole(b, name, img)
				took = append(took, time.Since(began))
			}
			stop()
			evicting.Wait()
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds()*1e3, "ms-p50")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "ms-p99")
			b.ReportMetric(testutil.ToFloat64(f.options.Metrics.SweptBytes)/(1<<20), "MiB-freed")
		})
	}
}

// pullWhole reads all of an image to the end, as a runtime does.
func (f *fixture) pullWhole(b *testing.B, path string, img origin.Image) {
	b.Helper()
	repo := repository(path)
	if _, _, err := f.ResolveManifest(b.Context(), repo, "1"); err != nil {
		b.Fatal(err)
	}
	for _, desc := range img.Blobs {
		blob, _, err := f.Blob(b.Context(), repo, desc.Digest, fetch.Range{})
		if err != nil {
			b.Fatal(err)
		}
		n, err := blob.WriteTo(io.Discard)
		if err != nil || n != desc.Size {
			b.Fatalf("%s: %d of %d bytes, %v", desc.Digest, n, desc.Size, err)
		}
		_ = blob.Close()
	}
}
