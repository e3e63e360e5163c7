package mirror

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/status"
)

// The reasons of events that tell of no change.
const (
	eventMirrorFailed   = "MirrorFailed"
	eventUntagged       = "Untagged"
	eventRefreshed      = "Refreshed"
	eventRefreshFailed  = "RefreshFailed"
	eventPinUnavailable = "PinUnavailable"
)

func (r *Reconciler) event(found *v1alpha1.CachedImage, kind, reason, action, note string) {
	if r.o.Events == nil {
		return
	}
	r.o.Events.Eventf(found, nil, kind, reason, action, "%s", status.Note(note))
}

func (r *Reconciler) untagged(found *v1alpha1.CachedImage, ref imageref.Reference) {
	r.event(found, corev1.EventTypeNormal, eventUntagged, "Untag", ref.String()+" is removed from the cache")
}

// tell makes events of failures and of what was asked for; changes are told before the status is written.
func (r *Reconciler) tell(p *pass, o *object, s *v1alpha1.CachedImageStatus) {
	normal := func(reason, action, note string) { r.event(p.found, corev1.EventTypeNormal, reason, action, note) }
	warn := func(reason, action, note string) { r.event(p.found, corev1.EventTypeWarning, reason, action, note) }
	r.tellUnavailable(p, s)
	if f := r.newFailure(p, o); f != nil {
		warn(eventMirrorFailed, "Mirror", f.reason+": "+f.message())
	}
	if s.LastHandledRefresh == p.previous.LastHandledRefresh {
		return
	}
	if p.answer != nil {
		f := explain(p.ref, false, p.answer)
		note := f.message()
		if p.whole() { // what the advice is for when there is nothing does not help here
			note = f.what + "; what is stored is served, and another value of the annotation asks again"
		}
		warn(eventRefreshFailed, "Check", f.reason+": "+note)
		return
	}
	note := fmt.Sprintf("checked at the origin %s, as the annotation asked", p.place)
	if p.ref.Digest != "" {
		note = "an image by digest needs no check; what is missing of it is brought in"
	}
	normal(eventRefreshed, "Check", note)
}

// fresh returns the mirror that made an image whole and of which no event told yet; nil where there is none.
func (r *Reconciler) fresh(p *pass, o *object) *mirrored {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	m := p.mirrored
	if m == nil || m.at.Equal(o.mirrored) || !p.whole() {
		return nil
	}
	o.mirrored = m.at
	return m
}

// newFailure returns a failure of another reason than the one of which an event told last.
func (r *Reconciler) newFailure(p *pass, o *object) *failure {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	if o.failed == "" { // an earlier process may have told
		if c := meta.FindStatusCondition(p.previous.Conditions, v1alpha1.ConditionReady); p.previous.Phase == v1alpha1.CachedImageFailed && c != nil {
			o.failed = c.Reason
		}
	}
	switch {
	case p.whole():
		o.failed = ""
	case p.failure != nil && p.failure.reason != o.failed:
		o.failed = p.failure.reason
		return new(*p.failure)
	}
	return nil
}
