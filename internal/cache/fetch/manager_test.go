package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/upstream"
	"golang.org/x/sync/errgroup"
)

func TestFetch_ReportsProgressAndReturnsWhenStored(t *testing.T) {
	t.Parallel()
	for name, reader := range map[string]bool{"Alone": false, "Joining a reader's fetch": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest := make(chan struct{})
			r := newRig(t, newOrigin(t, content(1<<20, 60), answer{upTo: 1000, restAt: rest}))
			if reader {
				s, _ := run(r.open(t, t.Context(), r.desc(), Range{}))
				s.await(t, 1000)
			}
			var total int64
			calls := 0
			err := r.Fetch(t.Context(), app, r.desc(), func(n int64) {
				if calls++; calls == 1 {
					close(rest)
				}
				total += n
			})
			if err != nil || total != int64(len(r.origin.blob)) || calls < 2 {
				t.Errorf("Fetch reported %d bytes in %d calls, %v", total, calls, err)
			}
			if _, err := r.store.LinkedBlob(t.Context(), app, r.origin.digest); err != nil {
				t.Errorf("Fetch returned before the link was made: %v", err)
			}
			r.wantStored(t, app)
		})
	}
}

func TestBlob_B2_FetchGoesOnWithoutItsCaller(t *testing.T) {
	t.Parallel()
	headers := make(chan struct{})
	r := newRig(t, newOrigin(t, content(1000, 61), answer{headersAt: headers}))
	ctx, giveUp := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Fetch(ctx, app, r.desc(), nil) }()
	<-r.origin.arrived
	giveUp()
	if err := ended(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch returned %v, want context.Canceled", err)
	}
	close(headers)
	r.wantStored(t, app)
}

func TestFetch_ReturnsTheOriginsError(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(1000, 62), answer{status: 404}))
	var up *upstream.Error
	if err := r.Fetch(t.Context(), app, r.desc(), nil); !errors.As(err, &up) || up.Reason != upstream.NotFound {
		t.Errorf("Fetch returned %v, want %s", err, upstream.NotFound)
	}
	if len(r.outcomes) != 1 || !errors.As(r.outcomes[0], &up) {
		t.Errorf("outcomes are %v, want the error once", r.outcomes)
	}
}

func TestManager_CloseAbortsEverything(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(10<<20, 63), answer{upTo: 1 << 20, stall: true}, answer{upTo: 10, stall: true}))
	s, done := run(r.open(t, t.Context(), r.desc(), Range{}))
	s.await(t, 1<<20)
	aheadReader := r.open(t, t.Context(), r.desc(), Range{Partial: true, Suffix: 100})
	if aheadReader.How != PassThrough {
		t.Fatalf("the range came by %v", aheadReader.How)
	}
	ahead, aheadDone := run(aheadReader)
	ahead.await(t, 10)
	mirrored := make(chan error, 1)
	go func() { mirrored <- r.Fetch(t.Context(), app, r.desc(), nil) }()

	r.Manager.Close()
	for name, c := range map[string]<-chan error{"reader": done, "range": aheadDone, "mirror": mirrored} {
		if err := ended(t, c); !errors.Is(err, ErrClosed) {
			t.Errorf("the %s returned %v, want ErrClosed", name, err)
		}
	}
	if _, err := r.Open(t.Context(), app, r.desc(), Range{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Open returned %v, want ErrClosed", err)
	}
	r.wantNothingStored(t)
	for _, err := range r.outcomes {
		if err != nil {
			t.Errorf("the origin was blamed for our own end: %v", err)
		}
	}
}

func TestReader_CloseTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(1000, 64)))
	rd := r.open(t, t.Context(), r.desc(), Range{})
	if err := errors.Join(rd.Close(), rd.Close()); err != nil {
		t.Error(err)
	}
	if _, err := rd.WriteTo(io.Discard); err == nil {
		t.Error("a closed reader delivered")
	}
	if n := value(t, r.metrics.FetchReaders); n != 0 {
		t.Errorf("%v readers are counted", n)
	}
}

// Not parallel: it counts the process's files.
func TestBlob_P2_NoFileLeaks(t *testing.T) {
	r := newRig(t, newOrigin(t, content(300<<10, 65),
		answer{}, answer{upTo: 1000}, answer{status: 404}, answer{status: 500}, answer{}))
	files := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skipf("counting open files: %v", err)
		}
		return len(entries)
	}
	round := func() {
		for range 4 {
			rd, err := r.Open(t.Context(), app, r.desc(), Range{})
			if err != nil {
				continue
			}
			_, _ = rd.WriteTo(io.Discard)
			_ = rd.Close()
		}
		r.settled(t)
	}
	round()
	before := files()
	for range 10 {
		round()
	}
	// One more is the client's idle connection to the origin. The origin may be about to close its ends of those that broke.
	until(t, fmt.Sprintf("no more than the %d files of before to be open", before), func() bool { return files() <= before+1 })
}

// Not parallel: it measures the process's memory.
func TestBlob_P2_MemoryGrowsNeitherWithTheBlobNorWithReaders(t *testing.T) {
	const readers, limit = 60, 16 << 20
	r := newRig(t, newOrigin(t, content(32<<20, 66)))
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	var g errgroup.Group
	for range readers {
		g.Go(func() error {
			rd, err := r.Open(t.Context(), app, r.desc(), Range{})
			if err != nil {
				return err
			}
			defer rd.Close()
			_, err = rd.WriteTo(io.Discard)
			return err
		})
	}
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		case <-tick.C:
		}
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapAlloc+now.StackInuse)
	}
	if grown := int64(peak) - int64(before.HeapAlloc+before.StackInuse); grown > limit {
		t.Errorf("memory grew by %d bytes for %d readers of 32 MiB, want at most %d", grown, readers, limit)
	}
}
