package scale

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// ready is the phase of an object that is as it should be.
const ready = "Ready"

// view follows Larder's objects, and notes when each was first seen and first Ready.
type view struct {
	mu           sync.Mutex
	images       map[string]map[string]imageState // by image, by object
	repositories map[string]map[string]repositoryState
	seen, ready  map[string]time.Time // by image
	updates      int                  // of CachedImages and Repositories
	stamped      []string             // the objects of those of them that changed mere timestamps
}

type imageState struct {
	phase, digest string
	users         int
}

type repositoryState struct {
	phase  string
	images int
}

func newView() *view {
	return &view{
		images: map[string]map[string]imageState{}, repositories: map[string]map[string]repositoryState{},
		seen: map[string]time.Time{}, ready: map[string]time.Time{},
	}
}

// startView follows the objects until end is called.
func startView(ctx context.Context, config *rest.Config) (v *view, end func(), err error) {
	v = newView()
	c, err := cache.New(config, cache.Options{})
	if err != nil {
		return nil, nil, fmt.Errorf("following Larder's objects: %w", err)
	}
	for kind, set := range map[string]func(*unstructured.Unstructured, bool){"CachedImage": v.setImage, "Repository": v.setRepository} {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(schema.GroupVersionKind{Group: "larder.dev", Version: "v1alpha1", Kind: kind})
		informer, err := c.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err == nil {
			_, err = informer.AddEventHandler(v.handler(set))
		}
		if err != nil {
			return nil, nil, fmt.Errorf("following each %s: %w", kind, err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Start(ctx) // a failure shows as objects that never come
	}()
	c.WaitForCacheSync(ctx)
	return v, func() { cancel(); <-done }, nil
}

func (v *view) handler(set func(object *unstructured.Unstructured, there bool)) toolscache.ResourceEventHandler {
	change := func(object any, there bool) {
		if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		if o, ok := object.(*unstructured.Unstructured); ok {
			v.mu.Lock()
			defer v.mu.Unlock()
			set(o, there)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { change(object, true) },
		UpdateFunc: func(before, object any) {
			change(object, true)
			v.mu.Lock()
			defer v.mu.Unlock()
			v.updates++
			if o, ok := object.(*unstructured.Unstructured); ok && equality.Semantic.DeepEqual(timeless(before), timeless(o)) {
				v.stamped = append(v.stamped, o.GetName())
			}
		},
		DeleteFunc: func(object any) { change(object, false) },
	}
}

func (v *view) setImage(o *unstructured.Unstructured, there bool) {
	name, _, _ := unstructured.NestedString(o.Object, "spec", "sourceImage")
	if v.images[name] == nil {
		v.images[name] = map[string]imageState{}
		v.seen[name] = time.Now()
	}
	if !there {
		delete(v.images[name], o.GetName())
		return
	}
	var is imageState
	is.phase, _, _ = unstructured.NestedString(o.Object, "status", "phase")
	is.digest, _, _ = unstructured.NestedString(o.Object, "status", "digest")
	is.users = number(o, "status", "usedBy", "count")
	v.images[name][o.GetName()] = is
	if is.phase == ready && v.ready[name].IsZero() {
		v.ready[name] = time.Now()
	}
}

func (v *view) setRepository(o *unstructured.Unstructured, there bool) {
	name, _, _ := unstructured.NestedString(o.Object, "spec", "name")
	if v.repositories[name] == nil {
		v.repositories[name] = map[string]repositoryState{}
	}
	if !there {
		delete(v.repositories[name], o.GetName())
		return
	}
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	v.repositories[name][o.GetName()] = repositoryState{phase: phase, images: number(o, "status", "images")}
}

func number(o *unstructured.Unstructured, fields ...string) int {
	n, _, _ := unstructured.NestedInt64(o.Object, fields...)
	return int(n)
}

// moments returns when the CachedImage of an image was first seen and first Ready; zero where that has not been.
func (v *view) moments(image string) (seen, ready time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen[image], v.ready[image]
}

// timeless is an object without the timestamps that Larder writes every ten minutes at most.
func timeless(object any) map[string]any {
	o, ok := object.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	o = o.DeepCopy()
	for _, field := range []string{"lastUpdate", "lastSync", "lastSeenUpstream"} {
		unstructured.RemoveNestedField(o.Object, "status", field)
	}
	unstructured.RemoveNestedField(o.Object, "metadata", "managedFields")
	o.SetResourceVersion("")
	return o.Object
}

// updated returns how many updates of objects there were, and the names of the objects of those that changed mere timestamps, and begins anew.
func (v *view) updated() (updates int, stamped []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	updates, stamped = v.updates, v.stamped
	v.updates, v.stamped = 0, nil
	return updates, stamped
}
