package revisions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/app/kube"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

const (
	lookEvery = 500 * time.Millisecond
	// writer is whom the API server says a pin is by.
	writer client.FieldOwner = "larder-cli"
)

// cluster is a cluster, where tags are CachedImages.
type cluster struct {
	client  client.Client
	remarks io.Writer
}

func newCluster(o Options) (place, error) {
	c, err := kube.NewClient(o.Cluster)
	return &cluster{c, o.Remarks}, err
}

func (c *cluster) tag(ctx context.Context, ref imageref.Reference) (cache.Tag, error) {
	object, err := c.object(ctx, ref)
	if err != nil {
		return cache.Tag{}, err
	}
	s := &object.Status
	if s.Digest == "" {
		return cache.Tag{}, fmt.Errorf("CachedImage %s is not stored yet (%s): %w", object.Name, s.Phase, errUnknown)
	}
	t := cache.Tag{Digest: digest.Digest(s.Digest), Upstream: digest.Digest(s.UpstreamDigest)}
	if s.LastSync != nil {
		t.CheckedAt = s.LastSync.Time
	}
	if pinned := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionPinned); pinned != nil {
		t.Pin.By = store.ByObject
	}
	t.Immutable = meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionMoved)
	for _, r := range s.History {
		revision := store.Revision{
			Digest: digest.Digest(r.Digest), FirstSeen: r.FirstSeen.Time, LastSeen: r.LastSeen.Time, Cause: store.Cause(r.Cause),
		}
		if r.CompleteAt != nil {
			revision.CompleteAt = r.CompleteAt.Time
		}
		t.History = append(t.History, revision)
	}
	return t, nil
}

// object returns the CachedImage of an image: of several the one whose pin is in force, else the oldest.
func (c *cluster) object(ctx context.Context, ref imageref.Reference) (*v1alpha1.CachedImage, error) {
	var all v1alpha1.CachedImageList
	if err := c.client.List(ctx, &all); err != nil {
		return nil, fmt.Errorf("listing CachedImages: %w", err)
	}
	var found *v1alpha1.CachedImage
	for i := range all.Items {
		o := &all.Items[i]
		named, err := imageref.Parse(o.Spec.SourceImage)
		if err == nil && named == ref && o.DeletionTimestamp.IsZero() && (found == nil || before(o, found)) {
			found = o
		}
	}
	if found == nil {
		return nil, fmt.Errorf("there is no CachedImage of it: %w", errUnknown)
	}
	return found, nil
}

// before orders the CachedImages of one image as their pins count; the API server lists them by name.
func before(a, b *v1alpha1.CachedImage) bool {
	if pins := a.Spec.PinnedDigest != ""; pins != (b.Spec.PinnedDigest != "") {
		return pins
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

func (c *cluster) pin(ctx context.Context, ref imageref.Reference, dgst digest.Digest) error {
	object, err := c.object(ctx, ref)
	switch {
	case errors.Is(err, errUnknown):
		object = &v1alpha1.CachedImage{
			ObjectMeta: metav1.ObjectMeta{Name: ref.ObjectName(0)},
			Spec:       v1alpha1.CachedImageSpec{SourceImage: ref.String(), PinnedDigest: dgst.String()},
		}
		if err := c.client.Create(ctx, object, writer); err != nil {
			return fmt.Errorf("creating CachedImage %s: %w", object.Name, err)
		}
		_, _ = fmt.Fprintf(c.remarks, "Created CachedImage %s, which keeps the image while it is pinned.\n", object.Name)
	case err != nil:
		return err
	default:
		if err := c.set(ctx, object, dgst); err != nil {
			return err
		}
	}
	return c.await(ctx, object, func(now *v1alpha1.CachedImage) (bool, error) {
		if c := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionPinUnavailable); c != nil && c.ObservedGeneration == now.Generation {
			return false, fmt.Errorf("%s: %s (CachedImage %s; larder unpin takes the wish back)", c.Reason, c.Message, now.Name)
		}
		pinned := meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionPinned)
		return pinned && now.Status.Digest == dgst.String(), nil
	})
}

func (c *cluster) unpin(ctx context.Context, ref imageref.Reference) error {
	object, err := c.object(ctx, ref)
	if err != nil {
		return err
	}
	if object.Spec.PinnedDigest == "" {
		return cache.ErrNotPinned
	}
	if err := c.set(ctx, object, ""); err != nil {
		return err
	}
	switch next, err := c.object(ctx, ref); {
	case err != nil:
		return err
	case next.Spec.PinnedDigest != "":
		return fmt.Errorf("CachedImage %s does not pin it any more, but CachedImage %s does: run larder unpin once more", object.Name, next.Name)
	}
	return c.await(ctx, object, func(now *v1alpha1.CachedImage) (bool, error) {
		return !meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionPinned), nil
	})
}

// set writes spec.pinnedDigest.
func (c *cluster) set(ctx context.Context, object *v1alpha1.CachedImage, dgst digest.Digest) error {
	old := object.DeepCopy()
	object.Spec.PinnedDigest = dgst.String()
	if err := c.client.Patch(ctx, object, client.MergeFrom(old), writer); err != nil {
		return fmt.Errorf("writing spec.pinnedDigest of CachedImage %s: %w", object.Name, err)
	}
	return nil
}

// await waits until the registry has seen an object as it is now, and done says that it has done what it asks for.
func (c *cluster) await(ctx context.Context, object *v1alpha1.CachedImage, done func(*v1alpha1.CachedImage) (bool, error)) error {
	told := ""
	for {
		var now v1alpha1.CachedImage
		if err := c.client.Get(ctx, client.ObjectKeyFromObject(object), &now); err != nil {
			return fmt.Errorf("reading CachedImage %s: %w", object.Name, err)
		}
		if now.Status.ObservedGeneration >= object.Generation {
			if ok, err := done(&now); ok || err != nil {
				return err
			}
		}
		if now.Status.Progress != told {
			told = now.Status.Progress
			_, _ = fmt.Fprintf(c.remarks, "Bringing it in: %s\n", told)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w; the wish stands, and kubectl describe cachedimage %s says how far it is", context.Cause(ctx), ctx.Err(), object.Name)
		case <-time.After(lookEvery):
		}
	}
}
