package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// attempts is a cache that fails the first mirrors of each image.
type attempts struct {
	failures int
	mu       sync.Mutex
	at       map[string][]time.Time
}

func (a *attempts) Mirror(_ context.Context, ref imageref.Reference, platforms []string, _ func(cache.Progress)) (cache.Mirrored, error) {
	key := ref.String()
	for _, p := range platforms {
		key += " " + p
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at[key] = append(a.at[key], time.Now())
	if len(a.at[key]) <= a.failures {
		return cache.Mirrored{}, errors.New("the origin is down")
	}
	return cache.Mirrored{}, nil
}

func (a *attempts) Pin(context.Context, imageref.Reference, cache.Pin, func(cache.Progress)) error {
	return errors.New("nothing can be pinned")
}

func (a *attempts) ReleasePins(context.Context, func(imageref.Reference) bool) {}

func image(t *testing.T, name, platforms string) wanted {
	t.Helper()
	ref, err := imageref.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return wanted{ref: ref, platforms: platforms}
}

func TestMirrors_RetryUntilTheImageIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		through := &attempts{failures: 3, at: map[string][]time.Time{}}
		counted := metrics.New(prometheus.NewRegistry())
		var retries []string
		log := funcr.New(func(_, line string) {
			if strings.Contains(line, "retryIn") {
				retries = append(retries, line)
			}
		}, funcr.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			list := func() []wanted { return []wanted{image(t, "nginx:1", "")} }
			newMirrors(through, counted, log).run(ctx, list, nil)
		}()
		time.Sleep(time.Second) // in the bubble's time
		wantImages(t, counted, 0, 1, 0)
		time.Sleep(time.Hour)
		wantImages(t, counted, 1, 0, 0)
		cancel()
		<-done
		at := through.at["docker.io/library/nginx:1"]
		if len(at) != 4 {
			t.Fatalf("mirrored %d times, want three failures and a success", len(at))
		}
		for i, wait := 1, firstRetry; i < len(at); i, wait = i+1, 2*wait {
			got := at[i].Sub(at[i-1])
			if got < wait/2 || got > wait {
				t.Errorf("attempt %d came after %v, want between %v and %v", i, got, wait/2, wait)
			}
			if want := fmt.Sprintf("%q=%q", "retryIn", got); !strings.Contains(retries[i-1], want) {
				t.Errorf("it announced attempt %d by %s, want %s", i, retries[i-1], want)
			}
		}
		for outcome, want := range map[string]float64{"failed": 3, "ok": 1} {
			if got := testutil.ToFloat64(counted.MirroredImages.WithLabelValues(outcome)); got != want {
				t.Errorf("%v mirrors counted as %s, want %v", got, outcome, want)
			}
		}
	})
}

func TestMirrors_FollowTheFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		through := &attempts{at: map[string][]time.Time{}}
		counted := metrics.New(prometheus.NewRegistry())
		m := newMirrors(through, counted, logr.Discard())
		for _, list := range [][]wanted{
			{image(t, "nginx:1", "")},
			{image(t, "nginx:1", ""), image(t, "redis:7", "linux/amd64,linux/arm64")},
			{image(t, "redis:7", "linux/amd64,linux/arm64")},
			{image(t, "nginx:1", ""), image(t, "redis:7", "linux/amd64")},
		} {
			m.set(t.Context(), list)
			m.running.Wait()
			wantImages(t, counted, float64(len(list)), 0, 0)
		}
		got := map[string]int{}
		for key, at := range through.at {
			got[key] = len(at)
		}
		want := map[string]int{
			"docker.io/library/nginx:1":                         2, // named again after it was not
			"docker.io/library/redis:7 linux/amd64 linux/arm64": 1,
			"docker.io/library/redis:7 linux/amd64":             1, // other platforms
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("mirrors (-want +got):\n%s", diff)
		}
	})
}

func wantImages(t *testing.T, counted *metrics.Metrics, wantReady, wantFailing, wantPending float64) {
	t.Helper()
	for state, want := range map[state]float64{ready: wantReady, failing: wantFailing, pending: wantPending} {
		if got := testutil.ToFloat64(counted.CachedImages.WithLabelValues(string(state))); got != want {
			t.Errorf("%v images are %s, want %v", got, state, want)
		}
	}
}

func TestStates_BeginPending(t *testing.T) {
	t.Parallel()
	counted := metrics.New(prometheus.NewRegistry())
	s := newStates(counted.CachedImages)
	one := image(t, "nginx:1", "")
	s.set(one, pending)
	wantImages(t, counted, 0, 0, 1)
	s.remove(one)
	s.set(one, ready) // its mirror ended when nobody asked for it any more
	wantImages(t, counted, 0, 0, 0)
}
