package scale

import (
	"fmt"
	"maps"
	"sync"
	"time"
)

// expectation is what there must be once all is well.
type expectation struct {
	mu     sync.Mutex
	images map[string]*wanted // by name
}

// wanted is one image that pods use.
type wanted struct {
	image
	users int       // pods
	since time.Time // when the creation of the first of them was asked for
}

func newExpectation() *expectation { return &expectation{images: map[string]*wanted{}} }

func (e *expectation) add(p pod, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	once := map[string]image{}
	for _, image := range p.images {
		once[image.name] = image
	}
	for name, image := range once {
		if e.images[name] == nil {
			e.images[name] = &wanted{image: image, since: now}
		}
		e.images[name].users++
	}
}

// all returns a copy.
func (e *expectation) all() map[string]wanted {
	e.mu.Lock()
	defer e.mu.Unlock()
	images := make(map[string]wanted, len(e.images))
	for name, want := range e.images {
		images[name] = *want
	}
	return images
}

// wrong lists what is not as it must be: an image or a repository without its object, with two, or with a wrong status.
func (v *view) wrong(images map[string]wanted) (problems []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	repositories := map[string]int{}
	for name, want := range images {
		repositories[want.full()]++
		if objects := v.images[name]; len(objects) != 1 {
			say("image %s has %d CachedImages", name, len(objects))
		}
		good := imageState{phase: ready, digest: want.Digest, users: want.users}
		for object, is := range v.images[name] {
			if is != good {
				say("CachedImage %s of %s is %+v, want %+v", object, name, is, good)
			}
		}
	}
	for name := range v.images {
		if _, ok := images[name]; !ok && len(v.images[name]) > 0 {
			say("nothing uses %s, which has a CachedImage", name)
		}
	}
	for name, count := range repositories {
		if objects := v.repositories[name]; len(objects) != 1 {
			say("repository %s has %d Repositories", name, len(objects))
		}
		good := repositoryState{phase: ready, images: count}
		for object, is := range v.repositories[name] {
			if is != good {
				say("Repository %s of %s is %+v, want %+v", object, name, is, good)
			}
		}
	}
	for name := range maps.Keys(v.repositories) {
		if _, ok := repositories[name]; !ok && len(v.repositories[name]) > 0 {
			say("nothing uses %s, which has a Repository", name)
		}
	}
	return problems
}
