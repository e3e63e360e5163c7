package serve

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
)

// attempts is a cache that fails the first mirrors of each image.
type attempts struct {
	failures int
	at       map[string][]time.Time
}

func (a *attempts) Mirror(_ context.Context, ref imageref.Reference, platforms []string, _ func(cache.Progress)) (cache.Mirrored, error) {
	key := ref.String()
	for _, p := range platforms {
		key += " " + p
	}
	a.at[key] = append(a.at[key], time.Now())
	if len(a.at[key]) <= a.failures {
		return cache.Mirrored{}, errors.New("the origin is down")
	}
	return cache.Mirrored{}, nil
}

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
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			list := func() []wanted { return []wanted{image(t, "nginx:1", "")} }
			newMirrors(through, logr.Discard()).run(ctx, list, nil)
		}()
		time.Sleep(time.Hour) // in the bubble's time
		cancel()
		<-done
		at := through.at["docker.io/library/nginx:1"]
		if len(at) != 4 {
			t.Fatalf("mirrored %d times, want three failures and a success", len(at))
		}
		for i, wait := 1, firstRetry; i < len(at); i, wait = i+1, 2*wait {
			if got := at[i].Sub(at[i-1]); got < wait/2 || got > wait {
				t.Errorf("attempt %d came after %v, want between %v and %v", i, got, wait/2, wait)
			}
		}
	})
}

func TestMirrors_FollowTheFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		through := &attempts{at: map[string][]time.Time{}}
		m := newMirrors(through, logr.Discard())
		for _, list := range [][]wanted{
			{image(t, "nginx:1", "")},
			{image(t, "nginx:1", ""), image(t, "redis:7", "linux/amd64,linux/arm64")},
			{image(t, "redis:7", "linux/amd64,linux/arm64")},
			{image(t, "nginx:1", ""), image(t, "redis:7", "linux/amd64")},
		} {
			m.set(t.Context(), list)
			m.running.Wait()
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
