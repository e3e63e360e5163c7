package access

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

// maxWaiting bounds the repositories that are waited for: their names are clients'. Beyond it, all who wait look again.
const maxWaiting = 4096

// changes tells who waits for the pods of a repository that they changed.
type changes struct {
	mu      sync.Mutex
	waiting map[imageref.Repository]chan struct{}
}

func newChanges() *changes { return &changes{waiting: map[imageref.Repository]chan struct{}{}} }

// of returns a channel that the next change closes.
func (c *changes) of(repo imageref.Repository) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, ok := c.waiting[repo]
	if !ok {
		if len(c.waiting) >= maxWaiting {
			for _, waiting := range c.waiting {
				close(waiting)
			}
			clear(c.waiting)
		}
		next = make(chan struct{})
		c.waiting[repo] = next
	}
	return next
}

func (c *changes) tell(repo imageref.Repository) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if waiting, ok := c.waiting[repo]; ok {
		close(waiting)
		delete(c.waiting, repo)
	}
}

// Watch returns what an informer of pods has to tell its events to, so that Changed knows of them. changed is called first, for each
// repository that a pod on a node came to use or stopped to.
func (k *Keychain) Watch(scope usage.Scope, changed func(repo imageref.Repository, node string)) cache.ResourceEventHandler {
	tell := func(uses []use) {
		for _, u := range uses {
			changed(u.repo, u.node)
			k.changes.tell(u.repo)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { tell(usesOf(scope, object)) },
		UpdateFunc: func(before, after any) {
			if !sameUse(before, after) {
				tell(append(usesOf(scope, before), usesOf(scope, after)...))
			}
		},
		DeleteFunc: func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			tell(usesOf(scope, object))
		},
	}
}

// use is a repository that a pod uses on a node.
type use struct {
	repo imageref.Repository
	node string
}

// usesOf lists what a pod uses, if it is on a node and has not finished.
func usesOf(scope usage.Scope, object any) []use {
	pod, ok := object.(*corev1.Pod)
	if !ok || !usage.Active(pod) || pod.Spec.NodeName == "" {
		return nil
	}
	var uses []use
	for _, ref := range scope.Pod(pod) { // in the order of their names
		uses = append(uses, use{ref.Repository, pod.Spec.NodeName})
	}
	return slices.Compact(uses)
}

// sameUse says whether a pod uses the same images, on the same node and with the same secrets, as before.
func sameUse(before, after any) bool {
	a, okA := before.(*corev1.Pod)
	b, okB := after.(*corev1.Pod)
	return okA && okB && a.UID == b.UID && usage.Active(a) == usage.Active(b) && a.Spec.NodeName == b.Spec.NodeName &&
		slices.Equal(a.Spec.ImagePullSecrets, b.Spec.ImagePullSecrets) && slices.EqualFunc(a.Spec.Containers, b.Spec.Containers,
		func(x, y corev1.Container) bool { return x.Image == y.Image && x.ImagePullPolicy == y.ImagePullPolicy })
}
