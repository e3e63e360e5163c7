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
	changed := make(chan imageref.Repository, 64)
	stop := r.keeper.Watch(func(repo imageref.Repository) {
		select {
		case changed <- repo:
		case <-ctx.Done():
		}
	})
	go func() {
		defer stop()
		for {
			select {
			case <-ctx.Done():
				return
			case repo := <-changed:
				objects, err := usage.Repositories(ctx, r.client, repo)
				if err != nil {
					continue // the objects come by themselves once they are known
				}
				for i := range objects {
					q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&objects[i])})
				}
			}
		}
	}()
	return nil
}
