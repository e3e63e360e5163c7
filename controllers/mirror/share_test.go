package mirror_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/controllers/mirror"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/origin"
)

// share is one that a test hands around, but for repositories that are called own-something.
type share struct {
	all        atomic.Bool
	generation atomic.Uint64
}

func (s *share) Owns(repository string) bool {
	return s.all.Load() || strings.HasPrefix(repository, host+"/own-")
}
func (s *share) Generation() uint64 { return s.generation.Load() }

func (s *share) hand(all bool) {
	s.all.Store(all)
	s.generation.Add(1)
}

// wantAlone fails where a registry writes an object although it looks at it.
func (r *rig) wantAlone(object *v1alpha1.CachedImage, round int) {
	r.t.Helper()
	r.annotate(object, v1alpha1.AnnotationRefresh, fmt.Sprint(round))
	before := r.get(object)
	name := fmt.Sprintf("own-%d", round)
	r.origin.Push(r.t, name+":1", origin.RandomImage(1, 4<<10))
	r.ready(r.image(name, name+":1")) // by then the other has been looked at
	if after := r.get(object); after.ResourceVersion != before.ResourceVersion {
		r.t.Errorf("the object of another replica was written:\n%+v\n%+v", before, after)
	}
}

func TestShare_AnotherReplicasImagesAreLeftAlone(t *testing.T) {
	t.Parallel()
	mine := &share{}
	r := newRig(t)
	r.options.Share = mine
	r.start()
	r.origin.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	object := r.image("app", "app:1")
	r.wantAlone(object, 1)

	mine.hand(true)
	r.eventually(object, "ready, and checked as was asked for before", func(object *v1alpha1.CachedImage) bool {
		return object.Status.Phase == v1alpha1.CachedImageReady && object.Status.LastHandledRefresh == "1"
	})

	mine.hand(false)
	r.origin.Forget()
	r.wantAlone(object, 2)
	if n := r.origin.Count(origin.Everything().In("app")); n > 0 {
		t.Errorf("%d requests to the origin for an image of another replica", n)
	}
	r.must(cluster.Delete(t.Context(), object))
	r.wantAlone(object, 3)
	mine.hand(true)
	r.until(func() string { return "the object to go" }, func() bool { return r.get(object) == nil })
}

// endless is a cache whose mirrors end only with their contexts.
type endless struct {
	*cache.Cache
	begun, ended chan struct{}
}

func (e endless) Mirror(ctx context.Context, _ imageref.Reference, _ []string, _ func(cache.Progress)) (cache.Mirrored, error) {
	close(e.begun)
	<-ctx.Done()
	close(e.ended)
	return cache.Mirrored{}, ctx.Err()
}

func TestShare_AMirrorEndsWhenItsImageIsAnothers(t *testing.T) {
	t.Parallel()
	mine := &share{}
	mine.hand(true)
	r := newRig(t)
	r.options.Share = mine
	held := endless{begun: make(chan struct{}), ended: make(chan struct{})}
	r.wrap = func(c *cache.Cache) mirror.Cache { held.Cache = c; return held }
	r.start()
	r.image("app", "app:1")
	<-held.begun
	mine.hand(false)
	select {
	case <-held.ended:
	case <-time.After(time.Minute):
		t.Error("it goes on")
	}
}
