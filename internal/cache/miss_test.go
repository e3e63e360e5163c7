package cache

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
)

// refusals are how origins refuse, and what is told of each.
var refusals = map[string]struct {
	fail       func(*origin.Origin)
	code       Code
	status     int
	retryAfter time.Duration
}{
	"404":      {failing(http.StatusNotFound), CodeManifestUnknown, http.StatusNotFound, 0},
	"401":      {failing(http.StatusUnauthorized), CodeDenied, http.StatusForbidden, 0},
	"403":      {failing(http.StatusForbidden), CodeDenied, http.StatusForbidden, 0},
	"500":      {failing(http.StatusInternalServerError), CodeUnavailable, http.StatusBadGateway, 0},
	"503":      {failing(http.StatusServiceUnavailable), CodeUnavailable, http.StatusBadGateway, 0},
	"refusing": {func(o *origin.Origin) { o.Refuse() }, CodeUnavailable, http.StatusBadGateway, 0},
	"429": {func(o *origin.Origin) {
		o.Fail(origin.Manifests(), origin.Status(http.StatusTooManyRequests, "Retry-After", "7"))
	}, CodeTooManyRequests, http.StatusTooManyRequests, 7 * time.Second},
}

func TestTag_T9_TheOriginsAnswersAreTold(t *testing.T) {
	t.Parallel()
	for name, test := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
			test.fail(f.origin)
			for i := range 3 {
				_, _, err := f.ResolveManifest(t.Context(), repository("app"), "1")
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("got the error %v, want a *cache.Error", err)
				}
				if e.Code != test.code || e.Status != test.status || e.RetryAfter != test.retryAfter {
					t.Errorf("got %s, status %d, retry after %s, want %s, %d, %s",
						e.Code, e.Status, e.RetryAfter, test.code, test.status, test.retryAfter)
				}
				if _, remembered := errors.AsType[*Remembered](err); remembered != (i > 0) {
					t.Errorf("answer %d: remembered is %t", i, remembered)
				}
			}
			if n := f.origin.Count(origin.Manifests()); n > 1 {
				t.Errorf("the origin was asked %d times for what it had just refused, want once", n)
			}
			f.origin.Heal()
			f.clock.advance(deniedHold)
			f.resolve(t, "app", "1")
		})
	}
}

func TestTag_T9_AMissIsCoalesced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	hang := f.origin.Fail(origin.Manifests(), origin.Hang())
	var mu sync.Mutex
	kinds := map[Kind]int{}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, outcome := f.resolve(t, "app", "1")
			mu.Lock()
			defer mu.Unlock()
			kinds[outcome.Kind]++
		})
	}
	hang.Await(t, 1)
	hang.Heal()
	wg.Wait()
	if n := f.origin.Count(origin.Manifests()); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
	if kinds[Miss] != 1 || kinds[Miss]+kinds[Collapsed]+kinds[Hit] != 50 {
		t.Errorf("got outcomes %v, want one miss", kinds)
	}
}
