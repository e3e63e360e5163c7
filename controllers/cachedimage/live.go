package cachedimage

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

// page is how many objects one answer of the API server holds.
const page = 500

// kinds are those whose objects may use images.
func (o Options) kinds() []client.Object {
	kinds := []client.Object{&corev1.Pod{}}
	if o.Workloads {
		kinds = append(kinds, usage.Workloads()...)
	}
	return kinds
}

// images lists what a pod or a workload uses.
func (o Options) images(object client.Object) []imageref.Reference {
	pod, ok := object.(*corev1.Pod)
	switch {
	case !ok:
		return o.Scope.WorkloadImages(object)
	case usage.Active(pod):
		return o.Scope.Pod(pod)
	}
	return nil
}

// used asks the API server which images are in use now. An error, also of a later page, says nothing of any image.
func (o Options) used(ctx context.Context) (map[imageref.Reference]bool, error) {
	used := map[imageref.Reference]bool{}
	for _, kind := range o.kinds() {
		err := o.eachLive(ctx, kind, func(object client.Object) {
			for _, ref := range o.images(object) {
				used[ref] = true
			}
		})
		if err != nil {
			return nil, fmt.Errorf("listing who uses images: %w", err)
		}
	}
	return used, nil
}

// eachLive calls visit with every object of a kind, as they were when the first page was asked for, or later.
func (o Options) eachLive(ctx context.Context, kind client.Object, visit func(client.Object)) error {
	for next := ""; ; {
		list, err := o.listOf(kind) // a new one for each page: decoding leaves in a list what it does not overwrite
		if err != nil {
			return err
		}
		if err := o.Live.List(ctx, list, client.Limit(page), client.Continue(next)); err != nil {
			return err
		}
		err = meta.EachListItem(list, func(item runtime.Object) error {
			if object, ok := item.(client.Object); ok {
				visit(object)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

// listOf makes an empty list of a kind.
func (o Options) listOf(kind client.Object) (client.ObjectList, error) {
	gvk, err := apiutil.GVKForObject(kind, o.Client.Scheme())
	if err != nil {
		return nil, err
	}
	gvk.Kind += "List"
	object, err := o.Client.Scheme().New(gvk)
	if err != nil {
		return nil, err
	}
	list, ok := object.(client.ObjectList)
	if !ok {
		return nil, fmt.Errorf("%s is no list", gvk)
	}
	return list, nil
}
