// Package revision keeps what revisions of workloads get when they scale up: it notes on a CachedImage which digests of its tag those are,
// so that the registry drops none of them from the history, nor from the store, while no pod runs. It reads workloads and never writes one.
package revision

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/rollout"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/internal/usage"
)

const (
	// After an error an image comes again within retryFirst, doubling to retryLast: soon after an outage of the API server.
	retryFirst = 20 * time.Millisecond
	retryLast  = 30 * time.Second
)

// Reconciler looks after what is kept of one CachedImage.
type Reconciler struct {
	client   client.Client
	scope    usage.Scope
	defaults policy.Defaults
	releases bool // nothing is kept
}

// New returns a reconciler. The client's cache is indexed by usage.IndexImages, usage.IndexRepositories and usage.IndexWorkloads.
func New(c client.Client, scope usage.Scope, defaults policy.Defaults) *Reconciler {
	return &Reconciler{client: c, scope: scope, defaults: defaults}
}

// NewRelease returns a reconciler for where workloads are not to keep anything: it removes what another one noted, and reads no workload. The
// client's cache needs no index.
func NewRelease(c client.Client) *Reconciler { return &Reconciler{client: c, releases: true} }

// Register adds the reconciler to a manager.
func (r *Reconciler) Register(m manager.Manager) error {
	b := ctrl.NewControllerManagedBy(m).Named("revision").
		For(&v1alpha1.CachedImage{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: imageChanged}))
	if !r.releases {
		b = r.watch(b)
	}
	err := b.WithOptions(controller.Options{
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](retryFirst, retryLast),
	}).Complete(r)
	if err != nil {
		return fmt.Errorf("adding the controller of revisions: %w", err)
	}
	return nil
}

// watch has images looked at again when what decides about them changes.
func (r *Reconciler) watch(b *builder.Builder) *builder.Builder {
	b = b.Watches(&v1alpha1.Repository{}, usage.OnRepository(r.client), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	for _, owner := range []client.Object{&appsv1.ControllerRevision{}, &appsv1.ReplicaSet{}, &batchv1.Job{}} {
		b = b.Watches(owner, usage.OnWorkload(r.client, r.scope), builder.WithPredicates(predicate.Funcs{UpdateFunc: r.ownerChanged}))
	}
	return b
}

// Reconcile notes which digests of an image are kept, where that changed.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var image v1alpha1.CachedImage
	if err := r.client.Get(ctx, req.NamespacedName, &image); err != nil || !image.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	ref, err := imageref.Parse(image.Spec.SourceImage)
	if err != nil || ref.Digest != "" {
		return ctrl.Result{}, nil //nolint:nilerr // the registry tells the person who wrote it
	}
	kept, err := r.kept(ctx, &image, ref)
	if err != nil {
		return ctrl.Result{}, err
	}
	wanted := rollout.FormatKept(kept)
	if image.Annotations[v1alpha1.AnnotationKeptDigests] == wanted {
		return ctrl.Result{}, nil
	}
	before := image.DeepCopy()
	delete(image.Annotations, v1alpha1.AnnotationKeptDigests)
	if wanted != "" {
		metav1.SetMetaDataAnnotation(&image.ObjectMeta, v1alpha1.AnnotationKeptDigests, wanted)
	}
	if err := r.client.Patch(ctx, &image, client.MergeFrom(before), status.Controller); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("noting what is kept of CachedImage %s: %w", image.Name, err)
	}
	return ctrl.Result{}, nil
}

// kept lists the digests that revisions of workloads get of an image; none where its tags are not resolved.
func (r *Reconciler) kept(ctx context.Context, image *v1alpha1.CachedImage, ref imageref.Reference) ([]digest.Digest, error) {
	if r.releases {
		return nil, nil
	}
	repositories, err := usage.Repositories(ctx, r.client, ref.Repository)
	if err != nil {
		return nil, err
	}
	if inForce := policy.InForce(repositories, r.defaults); inForce == nil || !inForce.Spec.ResolveDigests {
		return nil, nil
	}
	owners, err := usage.Owners(ctx, r.client, ref)
	if err != nil {
		return nil, err
	}
	var kept []digest.Digest
	for _, owner := range owners {
		if d := rollout.Resolve(image.Status.History, owner.GetCreationTimestamp().Time); d != "" && !slices.Contains(kept, d) {
			kept = append(kept, d)
		}
	}
	return kept, nil
}
