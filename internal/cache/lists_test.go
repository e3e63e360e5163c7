package cache

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/origin"
)

func TestList_D1_TagsFollowTheClock(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.expectTags(t, Miss, "1")
	f.origin.Push(t, "app:2", origin.RandomImage(1, 1<<12))
	f.clock.advance(5*time.Minute - time.Second)
	f.restart(t)
	f.expectTags(t, Hit, "1")
	f.clock.advance(time.Second)
	f.expectTags(t, Revalidated, "1", "2")
	f.origin.Refuse()
	f.clock.advance(time.Hour)
	f.expectTags(t, Stale, "1", "2")
}

func (f *fixture) expectTags(t *testing.T, kind Kind, want ...string) {
	t.Helper()
	got, outcome, err := f.Tags(t.Context(), repository("app"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if outcome.Kind != kind {
		t.Errorf("got outcome %+v, want kind %d", outcome, kind)
	}
}

func TestList_D1_NothingStoredAndTheOriginFailingIsNeverEmpty(t *testing.T) {
	t.Parallel()
	unknown := digest.FromString("unknown")
	for name, test := range map[string]struct {
		fail   func(*origin.Origin)
		status int
	}{
		"refusing": {func(o *origin.Origin) { o.Refuse() }, http.StatusBadGateway},
		"503":      {allFailing(http.StatusServiceUnavailable), http.StatusBadGateway},
		"429":      {allFailing(http.StatusTooManyRequests), http.StatusTooManyRequests},
		"403":      {allFailing(http.StatusForbidden), http.StatusForbidden},
	} {
		for kind, opts := range map[string][]origin.Option{"with the API": {origin.WithReferrers()}, "with the fallback tag": nil} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, opts...)
				f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
				test.fail(f.origin)
				_, _, tagsErr := f.Tags(t.Context(), repository("app"))
				_, _, referrersErr := f.Referrers(t.Context(), repository("app"), unknown)
				for what, err := range map[string]error{"tags": tagsErr, "referrers": referrersErr} {
					var e *Error
					if !errors.As(err, &e) || e.Status != test.status {
						t.Errorf("%s: got the error %v, want status %d", what, err, test.status)
					}
				}
			})
		}
	}
}

func allFailing(status int) func(*origin.Origin) {
	return func(o *origin.Origin) { o.Fail(origin.Everything(), origin.Status(status)) }
}

func TestList_D2_OnlyTwo404sMakeAnEmptyIndex(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	got, _, err := f.Referrers(t.Context(), repository("app"), img.Digest)
	if err != nil || len(got) != 0 {
		t.Fatalf("got %v and the error %v, want none and nil", got, err)
	}
	// The API says 404, the fallback tag fails: that is a failure.
	f.origin.Fail(origin.Manifests(), origin.Status(http.StatusServiceUnavailable))
	if _, _, err := f.Referrers(t.Context(), repository("app"), digest.FromString("other")); err == nil {
		t.Error("got an empty list while the fallback tag's answer is not known, want an error")
	}
}

func TestList_D1_ReferrersAreServedStale(t *testing.T) {
	t.Parallel()
	f := newFixture(t, origin.WithReferrers())
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	artifact := f.origin.Push(t, "app", origin.Artifact(img, "application/vnd.example.sbom"))
	f.origin.Forget()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, _, err := f.Referrers(t.Context(), repository("app"), img.Digest)
			if err != nil || len(got) != 1 || got[0].Digest != artifact.Digest {
				t.Errorf("got %v (%v), want %s", got, err, artifact.Digest)
			}
		})
	}
	wg.Wait()
	if n := f.origin.Count(origin.Referrers()); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
	f.origin.Refuse()
	f.restart(t)
	f.clock.advance(time.Hour)
	got, outcome, err := f.Referrers(t.Context(), repository("app"), img.Digest)
	if err != nil || len(got) != 1 || outcome.Kind != Stale {
		t.Errorf("got %v, %+v, %v, want the artifact, stale", got, outcome, err)
	}
}
