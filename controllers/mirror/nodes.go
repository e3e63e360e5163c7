package mirror

import (
	"context"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/larder-dev/larder/internal/imageref"
)

// nodes knows the platforms of the cluster's nodes.
type nodes struct {
	mu     sync.Mutex
	of     map[string]string // a node's platform, by its name
	sorted []string          // each platform once; replaced, never changed
}

func newNodes() *nodes { return &nodes{of: map[string]string{}} }

// platforms lists the platforms to mirror of a repository's images: the Repository's, else those of the nodes; none: all.
func (r *Reconciler) platforms(repo imageref.Repository) []string {
	if own := r.o.Policies.Load().Platforms(repo); len(own) > 0 {
		slices.Sort(own)
		return own
	}
	r.nodes.mu.Lock()
	defer r.nodes.mu.Unlock()
	return r.nodes.sorted
}

// handler follows the nodes. The first ones are known before the first reconcile: a controller waits for its sources.
func (n *nodes) handler(changed func()) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	set := func(object client.Object, platform string) {
		if n.set(object.GetName(), platform) {
			changed()
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, _ queue) { set(e.Object, platformOf(e.Object)) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, _ queue) { set(e.ObjectNew, platformOf(e.ObjectNew)) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ queue) { set(e.Object, "") },
	}
}

// platformOf is what a node runs; empty while it has not said so.
func platformOf(object client.Object) string {
	node, ok := object.(*corev1.Node)
	if !ok {
		return ""
	}
	system, architecture := node.Status.NodeInfo.OperatingSystem, node.Status.NodeInfo.Architecture
	if system == "" || architecture == "" {
		system, architecture = node.Labels[corev1.LabelOSStable], node.Labels[corev1.LabelArchStable]
	}
	if system == "" || architecture == "" {
		return ""
	}
	return system + "/" + architecture
}

// set notes a node's platform, none where the node is gone, and says whether the cluster's platforms are others now.
func (n *nodes) set(name, platform string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of[name] == platform {
		return false
	}
	if n.of[name] = platform; platform == "" {
		delete(n.of, name)
	}
	sorted := slices.Compact(slices.Sorted(maps.Values(n.of)))
	if slices.Equal(sorted, n.sorted) {
		return false
	}
	n.sorted = sorted
	return true
}
