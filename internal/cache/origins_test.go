package cache

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/tests/origin"
)

const corpHost = "registry.corp"

// corp is an origin of its own, with images for a repository that pods call by another name.
type corp struct {
	*origin.Origin
	sources atomic.Pointer[[]imageref.Repository] // of reg.example/app
}

var hardened = imageref.Repository{Host: corpHost, Path: "hardened/app"}

// newCorp has the images of reg.example/app come from sources.
func newCorp(t *testing.T, f *fixture, sources ...imageref.Repository) *corp {
	t.Helper()
	c := &corp{Origin: origin.New(t)}
	c.sources.Store(&sources)
	f.elsewhere = func(o *upstream.Options) {
		o.Registries = append(o.Registries, upstream.Registry{Host: corpHost, Endpoints: []string{c.URL()}})
		o.Sources = func(repo imageref.Repository) []imageref.Repository {
			if repo != repository("app") {
				return nil
			}
			return *c.sources.Load()
		}
	}
	f.restart(t)
	return c
}

func (c *corp) comesFrom(sources ...imageref.Repository) { c.sources.Store(&sources) }

func TestOrigins_TheNameStaysAndTheOtherIsAsked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := newCorp(t, f, hardened)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	want := c.Push(t, "hardened/app:1", origin.RandomIndex(1, 1<<12, "linux/amd64", "linux/arm64"))
	if got := f.pull(t, "app", "1"); got != want.Digest {
		t.Errorf("got %s, want what %s has: %s", got, corpHost, want.Digest)
	}
	ref := imageref.Reference{Repository: repository("app"), Tag: "1"}
	if _, err := f.Mirror(t.Context(), ref, nil, nil); err != nil {
		t.Errorf("mirroring: %v", err)
	}
	if image, err := f.Image(t.Context(), ref, nil); err != nil || image.Digest != want.Digest || !image.Complete {
		t.Errorf("the image is %+v, %v; want it whole under the name that was pulled", image, err)
	}
	if n := f.origin.Count(origin.Everything()); n != 0 {
		t.Errorf("the origin in the name was asked %d times", n)
	}
	if n := testutil.ToFloat64(f.options.Metrics.OriginRequests.WithLabelValues(corpHost, "manifest", "200")); n == 0 {
		t.Error("the requests are not counted for the host that was asked")
	}
}

func TestOrigins_AChangeIsFollowedAtTheNextCheck(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := newCorp(t, f)
	before := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	after := c.Push(t, "hardened/app:1", origin.RandomImage(1, 1<<12))
	f.policies.set(Policy{Check: true, Interval: time.Hour})
	f.pull(t, "app", "1")
	c.comesFrom(hardened)
	f.clock.advance(30 * time.Minute)
	f.expect(t, "app", "1", before.Digest, Hit)
	f.clock.advance(31 * time.Minute)
	f.expect(t, "app", "1", after.Digest, Revalidated)
	f.expect(t, "app", string(before.Digest), before.Digest, Hit)
}

func TestOrigins_T6_HoldsAreOfTheHostThatIsAsked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := newCorp(t, f, hardened)
	f.origin.Push(t, "other:1", origin.RandomImage(1, 1<<12))
	want := c.Push(t, "hardened/app:1", origin.RandomImage(1, 1<<12))
	f.policies.set(Policy{Check: true})
	f.pull(t, "app", "1")
	f.pull(t, "other", "1")
	c.Fail(origin.Everything(), origin.Status(http.StatusBadGateway))
	f.expect(t, "app", "1", want.Digest, Stale)
	if open := testutil.ToFloat64(f.options.Metrics.Breaker.WithLabelValues(corpHost)); open != 1 {
		t.Error("the breaker of the host that was asked is closed")
	}
	if _, o := f.resolve(t, "other", "1"); o.Kind != Revalidated {
		t.Errorf("an image of the host in the name got %+v, want it checked", o)
	}
	_, _, err := f.ResolveManifest(t.Context(), repository("app"), "2")
	if err == nil || !strings.Contains(err.Error(), "origin "+corpHost) {
		t.Errorf("the error %v does not name the origin that failed", err)
	}
}

func TestOrigins_T6_AFallbackAnswersInTheFirstOnesPlace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := newCorp(t, f, hardened, repository("app"))
	f.policies.set(Policy{Check: true})
	first := c.Push(t, "hardened/app:1", origin.RandomImage(1, 1<<12))
	second := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	broken := c.Fail(origin.Everything(), origin.Status(http.StatusBadGateway))
	for range 3 {
		f.expect(t, "app", "1", second.Digest, Revalidated)
	}
	if n := broken.Hits(); n > 3 {
		t.Errorf("the one that fails was asked %d times, want it asked last for a while", n)
	}
	f.pull(t, "app", "1") // whole, or the first one's would be stale's answer (T5)
	f.origin.Fail(origin.Everything(), origin.Status(http.StatusBadGateway))
	f.expect(t, "app", "1", second.Digest, Stale)
	if open := testutil.ToFloat64(f.options.Metrics.Breaker.WithLabelValues(corpHost + ", " + host)); open != 1 {
		t.Error("no breaker is open for the two together")
	}
	f.origin.Heal()
	c.Heal()
	f.clock.advance(2 * time.Second)
	eventually(t, "one of them followed again", func() bool {
		_, o := f.resolve(t, "app", "1")
		return o.Kind == Revalidated
	})
	f.pull(t, "app", string(first.Digest))
}

func TestOrigins_D1_OnlyNotFoundEverywhereIsNotFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := newCorp(t, f, hardened, repository("app"))
	f.origin.Push(t, "app:only-here", origin.RandomImage(1, 1<<12))
	tags, _, err := f.Tags(t.Context(), repository("app"))
	if err != nil || len(tags) != 1 || tags[0] != "only-here" {
		t.Errorf("got %v, %v; want the list of the first that has one", tags, err)
	}
	var e *Error
	_, _, err = f.ResolveManifest(t.Context(), repository("app"), "missing")
	if !errors.As(err, &e) || e.Status != http.StatusNotFound {
		t.Errorf("got %v, want 404 where all say so", err)
	}
	c.Fail(origin.Everything(), origin.Status(http.StatusBadGateway))
	_, _, err = f.ResolveManifest(t.Context(), repository("app"), "gone")
	if !errors.As(err, &e) || e.Status != http.StatusBadGateway {
		t.Errorf("got %v, want 502 where one does not answer", err)
	}
	_, _, err = f.Referrers(t.Context(), repository("app"), digest.FromString("x"))
	if err == nil {
		t.Error("no referrers were found though one origin does not answer")
	}
}

func TestOrigins_B3_ABlobGoesOnAtTheNextOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := newCorp(t, f, hardened, repository("app"))
	img := origin.RandomImage(1, 1<<20)
	pushed := c.Push(t, "hardened/app:1", img)
	f.origin.Push(t, "app:1", img)
	f.resolve(t, "app", "1")
	c.Fail(origin.Blobs(), origin.ResetAfter(300<<10))
	layer := pushed.Blobs[1].Digest
	body, _, err := f.read(t, "app", layer)
	if err != nil || digest.FromBytes(body) != layer {
		t.Errorf("%d bytes, %v; want the whole layer", len(body), err)
	}
	if n := f.origin.Count(origin.Blobs().Of(string(layer))); n != 1 {
		t.Errorf("the second origin was asked for the layer %d times, want once, for the rest", n)
	}
}

func TestOrigins_B6_TheOneThatIsAskedConfirms(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := newCorp(t, f, hardened)
	img := origin.RandomImage(1, 1<<12)
	pushed := f.origin.Push(t, "other:1", img)
	f.origin.Push(t, "app:1", img)
	f.pull(t, "other", "1")
	layer := pushed.Blobs[1].Digest
	if _, _, err := f.read(t, "app", layer); err == nil {
		t.Error("a blob was served that the repository's origin does not have")
	}
	c.Push(t, "hardened/app:1", img)
	f.clock.advance(failureHold)
	if _, _, err := f.read(t, "app", layer); err != nil {
		t.Errorf("the origin has it, and still: %v", err)
	}
	if n := f.origin.Count(origin.Blobs().In("app")); n != 0 {
		t.Errorf("the origin in the name was asked %d times", n)
	}
}

func TestOrigins_M1_AMirrorNeedsNoPauseWhereAnotherAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := newCorp(t, f, hardened, repository("app"))
	img := origin.RandomImage(2, 1<<12)
	c.Push(t, "hardened/app:1", img)
	f.origin.Push(t, "app:1", img)
	limited := c.Fail(origin.Everything(), origin.Status(http.StatusTooManyRequests, "Retry-After", "100"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := f.Mirror(ctx, imageref.Reference{Repository: repository("app"), Tag: "1"}, nil, nil); err != nil {
		t.Errorf("mirroring, while the second one answers: %v", err)
	}
	if n := limited.Hits(); n > 2 {
		t.Errorf("the one that limits was asked %d times", n)
	}
}
