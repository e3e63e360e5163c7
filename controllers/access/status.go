package access

import (
	"context"
	"maps"
	"slices"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

// maxNamespaces is how many the API server takes.
const maxNamespaces = 50

// statusOf words a summary for the API; nil where nothing is known.
func statusOf(s grant.Summary) *v1alpha1.AccessStatus {
	if !s.Public && !s.Known {
		return nil
	}
	access := &v1alpha1.AccessStatus{Public: s.Public, Grants: int32(s.Grants)} //nolint:gosec // one of each credential
	for _, name := range slices.Sorted(maps.Keys(s.Namespaces)) {
		if len(access.Namespaces) == maxNamespaces {
			break
		}
		access.Namespaces = append(access.Namespaces, v1alpha1.NamespaceGrants{Name: name, Grants: int32(s.Namespaces[name])}) //nolint:gosec // as above
	}
	return access
}

// follow queues the Repositories of which something was granted or revoked, until ctx ends.
func (r *Reconciler) follow(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	changed := workqueue.NewTyped[imageref.Repository]()
	stop := r.keeper.Watch(changed.Add)
	context.AfterFunc(ctx, func() {
		stop()
		changed.ShutDown()
	})
	go func() {
		for repo, ended := changed.Get(); !ended; repo, ended = changed.Get() {
			r.enqueue(ctx, repo, q)
			changed.Done(repo)
		}
	}()
	return nil
}

// enqueue queues the objects of a repository.
func (r *Reconciler) enqueue(ctx context.Context, repo imageref.Repository, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	objects, err := usage.Repositories(ctx, r.client, repo)
	if err != nil {
		return // the objects come by themselves once they are known
	}
	for i := range objects {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&objects[i])})
	}
}
