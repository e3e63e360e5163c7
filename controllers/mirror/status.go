package mirror

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/internal/store"
)

// maxHistory is how many revisions a status takes.
const maxHistory = 200

// describe returns the registry's part of the status.
func (r *Reconciler) describe(p *pass) v1alpha1.CachedImageStatus {
	if p.broken != nil {
		f := explain(p.ref, false, p.broken)
		p.failure = &f
	}
	s := v1alpha1.CachedImageStatus{
		Phase: p.phase(), IsCached: new(p.whole()),
		Digest: p.stored.Digest.String(), UpstreamDigest: p.stored.Upstream.String(),
		LastSync: stamp(p.stored.CheckedAt), LastSuccessfulPull: p.lastPull(),
		LastHandledRefresh: p.previous.LastHandledRefresh, ObservedGeneration: p.found.Generation,
		History: historyOf(p.stored.History),
	}
	if p.stored.Digest != "" && p.stored.Upstream != "" {
		s.UpToDate = new(p.stored.Digest == p.stored.Upstream)
	}
	if p.stored.Size > 0 {
		s.Size = sizeOf(p.stored.Size)
	}
	if p.mirroring() {
		s.Progress = p.shown.percent
	}
	if p.refreshed != "" {
		s.LastHandledRefresh = p.refreshed
	}
	if p.broken != nil { // whether it is stored is not known; what was known of it stands
		was := &p.previous
		s.IsCached, s.Digest, s.UpstreamDigest, s.UpToDate, s.Size, s.LastSync = nil, was.Digest, was.UpstreamDigest, was.UpToDate, was.Size, was.LastSync
		s.History = was.History
	}
	r.describeOrigin(p, &s)
	r.setConditions(p, &s)
	return s
}

// historyOf words what a tag was.
func historyOf(history []store.Revision) []v1alpha1.Revision {
	var words []v1alpha1.Revision
	for _, r := range history[:min(len(history), maxHistory)] {
		words = append(words, v1alpha1.Revision{
			Digest: r.Digest.String(), FirstSeen: metav1.NewTime(r.FirstSeen.Truncate(time.Second)), LastSeen: metav1.NewTime(r.LastSeen.Truncate(time.Second)),
			CompleteAt: stamp(r.CompleteAt), Cause: v1alpha1.RevisionCause(r.Cause),
		})
	}
	return words
}

// lastPull is when the image was last brought in whole: by a mirror, else, by pulls or as its tag moved (T5), when that was first seen.
func (p *pass) lastPull() *metav1.Time {
	last, before := p.previous.LastSuccessfulPull, p.previous.Digest
	if m := p.mirrored; m != nil && m.Loaded > 0 && (last == nil || last.Time.Before(m.at.Truncate(time.Second))) {
		return stamp(m.at)
	}
	if p.whole() && !p.busy && (last == nil || before != "" && before != p.stored.Digest.String()) {
		return stamp(p.now)
	}
	return last
}

// describeOrigin says whether the origin has the image. What the memory lost by a restart stays as it is.
func (r *Reconciler) describeOrigin(p *pass, s *v1alpha1.CachedImageStatus) {
	s.AvailableUpstream, s.LastSeenUpstream = p.previous.AvailableUpstream, p.previous.LastSeenUpstream
	seen := p.stored.CheckedAt
	if p.ref.Digest != "" && p.mirrored != nil && p.mirrored.Loaded > 0 {
		seen = p.mirrored.at
	}
	if !seen.IsZero() && (s.LastSeenUpstream == nil || seen.Truncate(time.Second).After(s.LastSeenUpstream.Time)) {
		s.LastSeenUpstream = stamp(seen)
	}
	switch {
	case p.gone():
		s.AvailableUpstream = new(false)
	case !seen.IsZero() && (s.AvailableUpstream == nil || p.problem == nil && seen.After(r.began)):
		s.AvailableUpstream = new(true)
	}
}

// gone says whether the origin answered that it does not have the image.
func (p *pass) gone() bool {
	f := p.problem
	if f == nil && p.stored.Digest == "" {
		f = p.failure
	}
	return f != nil && f.reason == v1alpha1.ReasonNotFound
}

// mirroring says whether the image is shown as being brought in. A retry is once it has got somewhere.
func (p *pass) mirroring() bool {
	return p.busy && p.shown.running && (p.failure == nil || p.shown.percent != "")
}

func (p *pass) phase() v1alpha1.CachedImagePhase {
	switch {
	case p.expired:
		return v1alpha1.CachedImageExpiring
	case p.mirroring():
		return v1alpha1.CachedImageMirroring
	case p.failure != nil && !p.whole():
		return v1alpha1.CachedImageFailed
	case p.whole() && p.moved():
		return v1alpha1.CachedImageStale
	case p.whole():
		return v1alpha1.CachedImageReady
	}
	return v1alpha1.CachedImagePending
}

// refuse says in the status that the spec cannot be used: only another object helps.
func (r *Reconciler) refuse(ctx context.Context, found *v1alpha1.CachedImage, cause error) error {
	now := r.o.Now()
	desired := v1alpha1.CachedImageStatus{Phase: v1alpha1.CachedImageFailed, IsCached: new(false), ObservedGeneration: found.Generation}
	for _, c := range []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse},
		{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue},
	} {
		c.Reason, c.ObservedGeneration = v1alpha1.ReasonInvalid, found.Generation
		c.Message = firstLine(cause) + ": delete this object, and create another with the image as a pod names it"
		status.Set(&desired.Conditions, found.Status.Conditions, now, c)
	}
	if _, err := status.ApplyImage(ctx, r.o.Client, status.Registry, found, desired, now); err != nil {
		return err
	}
	return reconcile.TerminalError(cause)
}

func stamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return new(metav1.NewTime(t.Truncate(time.Second)))
}

// sizeOf rounds up to whole Mi, or to Ki where there is not one.
func sizeOf(bytes int64) *resource.Quantity {
	unit := int64(1 << 20)
	if bytes < unit {
		unit = 1 << 10
	}
	return resource.NewQuantity((bytes+unit-1)/unit*unit, resource.BinarySI)
}
