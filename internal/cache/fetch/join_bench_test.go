package fetch

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// BenchmarkBlob_B1_FirstByteOfJoiners measures how much later than the first of 500 clients, at once, the others get their first
// byte of a blob of 16 MiB that arrives at 2 MiB/s.
func BenchmarkBlob_B1_FirstByteOfJoiners(b *testing.B) {
	const clients = 500
	for b.Loop() {
		r := newRig(b, newOrigin(b, content(16<<20, 70), answer{rate: 2 << 20}))
		s, c := r.server(b), client(b)
		var mu sync.Mutex
		var leader time.Time
		var first []time.Time
		var g errgroup.Group
		for range clients {
			g.Go(func() error {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL, nil)
				if err != nil {
					return err
				}
				resp, err := c.Do(req)
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
					return err
				}
				now := time.Now()
				mu.Lock()
				first = append(first, now)
				if resp.Header.Get("Larder-How") == strconv.Itoa(int(Started)) {
					leader = now
				}
				mu.Unlock()
				_, err = io.Copy(io.Discard, resp.Body)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		_, sent := r.origin.traffic()
		slices.SortFunc(first, time.Time.Compare)
		p99 := first[len(first)*99/100].Sub(leader)
		b.ReportMetric(float64(p99.Microseconds())/1000, "p99-ms-after-leader")
		b.ReportMetric(float64(sent)/float64(len(r.origin.blob)), "origin-bytes/blob")
	}
}

// BenchmarkBlob_B1_Throughput measures how fast one reader follows a fetch.
func BenchmarkBlob_B1_Throughput(b *testing.B) {
	o := newOrigin(b, content(64<<20, 71))
	b.SetBytes(int64(len(o.blob)))
	for b.Loop() {
		r := newRig(b, o)
		if _, _, err := get(b.Context(), client(b), r.server(b).URL); err != nil {
			b.Fatal(err)
		}
	}
}
