package access

import (
	"slices"
	"strings"
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
// repository that a pod came to use or stopped to.
func (k *Keychain) Watch(scope usage.Scope, changed func(imageref.Repository)) cache.ResourceEventHandler {
	tell := func(repos []imageref.Repository) {
		slices.SortFunc(repos, func(a, b imageref.Repository) int { return strings.Compare(a.String(), b.String()) })
		for _, repo := range slices.Compact(repos) {
			changed(repo)
			k.changes.tell(repo)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { tell(repositories(scope, object)) },
		UpdateFunc: func(before, after any) {
			if !sameUse(before, after) {
				tell(append(repositories(scope, before), repositories(scope, after)...))
			}
		},
		DeleteFunc: func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			tell(repositories(scope, object))
		},
	}
}

// repositories lists those of the images of a pod on a node.
func repositories(scope usage.Scope, object any) []imageref.Repository {
	pod, ok := object.(*corev1.Pod)
	if !ok || !usage.Active(pod) || pod.Spec.NodeName == "" {
		return nil
	}
	var repos []imageref.Repository
	for _, ref := range scope.Pod(pod) {
		repos = append(repos, ref.Repository)
	}
	return repos
}

// sameUse says whether a pod uses the same images, on the same node and with the same secrets, as before.
func sameUse(before, after any) bool {
	a, okA := before.(*corev1.Pod)
	b, okB := after.(*corev1.Pod)
	return okA && okB && a.UID == b.UID && usage.Active(a) == usage.Active(b) && a.Spec.NodeName == b.Spec.NodeName &&
		slices.Equal(a.Spec.ImagePullSecrets, b.Spec.ImagePullSecrets) && slices.EqualFunc(a.Spec.Containers, b.Spec.Containers,
		func(x, y corev1.Container) bool { return x.Image == y.Image && x.ImagePullPolicy == y.ImagePullPolicy })
}
