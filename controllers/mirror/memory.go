package mirror

import (
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

// memory is what the process knows of images beside what the store and the API server tell. A restart may lose it.
type memory struct {
	mu      sync.Mutex
	objects map[string]*object // by name
	images  map[imageref.Reference]*image
}

// object is a CachedImage.
type object struct {
	name  string
	uid   types.UID
	image *image

	written   *v1alpha1.CachedImageStatus // the status that was last found to be, or made, what it should be
	writtenTo string                      // the version of the object then
	heldFrom  string                      // the version that the finalizer was put on
	said      *v1alpha1.CachedImageStatus // the status whose changes were told last, written or not
	told      told

	asked    string // the value of the refresh annotation whose check is under way
	handled  string // the one whose check ended last, with answer
	answer   error
	mirrored time.Time // the mirror of which an event told
	failed   string    // the reason of which an event told since the image was last stored whole
}

// image is what several objects may ask for.
type image struct {
	ref       imageref.Reference
	objects   map[string]*object
	platforms []string // the wanted ones, as of the last reconcile

	attempt  *attempt  // the mirror that waits or runs
	mirrored *mirrored // the last that brought the image in
	failure  *failure  // of the last, where it failed and the image is not stored whole
	failedAt time.Time
	tries    int       // since the image was last stored whole
	retryAt  time.Time // no other before

	problem *failure // why the last check was not answered; nil where it was

	pin pinTries
}

func newMemory() *memory {
	return &memory{objects: map[string]*object{}, images: map[imageref.Reference]*image{}}
}

// enter returns the object of a CachedImage. Its caller holds the lock.
func (m *memory) enter(found *v1alpha1.CachedImage, ref imageref.Reference) *object {
	o := m.objects[found.Name]
	if o != nil && o.uid == found.UID {
		return o
	}
	if o != nil { // made anew under the name
		m.drop(o)
	}
	im := m.images[ref]
	if im == nil {
		im = &image{ref: ref, objects: map[string]*object{}}
		m.images[ref] = im
	}
	o = &object{name: found.Name, uid: found.UID, image: im}
	m.objects[o.name], im.objects[o.name] = o, o
	return o
}

// leave forgets an object, and its image with the last one that asks for it. It says whether that is done: not while the image is being
// mirrored for this object alone, which then ends soon and has the object reconciled again.
func (m *memory) leave(name string, mirrors *pool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.objects[name]
	if o == nil {
		return true
	}
	im := o.image
	if len(im.objects) == 1 && im.attempt != nil && !mirrors.drop(im.attempt.job) {
		return false
	}
	m.drop(o)
	return true
}

func (m *memory) drop(o *object) {
	delete(m.objects, o.name)
	if delete(o.image.objects, o.name); len(o.image.objects) > 0 {
		return
	}
	delete(m.images, o.image.ref)
	if o.image.attempt != nil {
		o.image.attempt.job.cancel()
	}
}

// knows says whether an object asks for an image.
func (m *memory) knows(ref imageref.Reference) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.images[ref] != nil
}

// names lists the objects that ask for an image.
func (m *memory) names(ref imageref.Reference) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	im := m.images[ref]
	if im == nil {
		return nil
	}
	return slices.Collect(maps.Keys(im.objects))
}

// wanting lists the objects whose images want other platforms now.
func (m *memory) wanting(platforms func(imageref.Repository) []string) (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ref, im := range m.images {
		if !slices.Equal(im.platforms, platforms(ref.Repository)) {
			names = slices.AppendSeq(names, maps.Keys(im.objects))
		}
	}
	return names
}
