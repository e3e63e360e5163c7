package mirror

import (
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/store"
)

// held lists the conditions that say why a tag is not where its origin has it, or where its object pins it. They are there only while true.
func (p *pass) held() []metav1.Condition {
	var all []metav1.Condition
	add := func(kind, reason, message string) {
		all = append(all, metav1.Condition{Type: kind, Reason: reason, Message: message})
	}
	if p.broken != nil { // what was known stands
		for _, kind := range []string{v1alpha1.ConditionPinned, v1alpha1.ConditionPinUnavailable, v1alpha1.ConditionMoved} {
			if old := meta.FindStatusCondition(p.previous.Conditions, kind); old != nil {
				all = append(all, *old)
			}
		}
		return all
	}
	if p.stored.Pin.By != "" {
		add(v1alpha1.ConditionPinned, v1alpha1.ReasonPinned, p.pinnedWords())
	}
	if reason, message := p.unavailable(); reason != "" {
		add(v1alpha1.ConditionPinUnavailable, reason, message)
	}
	if p.stored.Moved {
		add(v1alpha1.ConditionMoved, v1alpha1.ReasonMoved, p.movedWords())
	}
	return all
}

func (p *pass) pinnedWords() string {
	by, back := "CachedImage "+p.pin.by, "remove spec.pinnedDigest there"
	switch {
	case p.stored.Pin.By == store.ByHand:
		by, back = "larder pin", "run larder unpin"
	case p.pin.by == p.found.Name:
		by, back = "spec.pinnedDigest", "remove it"
	}
	drift := fmt.Sprintf("its origin has %s: %s to follow that", p.stored.Upstream, back)
	switch p.stored.Upstream {
	case p.stored.Digest:
		drift = "its origin has the same"
	case "":
		drift = "what its origin has is not known yet"
	}
	return fmt.Sprintf("%s is served, as %s has it since %s; %s", p.stored.Digest, by, p.stored.Pin.At.UTC().Format(time.RFC3339), drift)
}

func (p *pass) movedWords() string {
	return fmt.Sprintf("somebody moved this immutable tag: its origin has %s, and %s is served; where that is right, "+
		"take the tag out of immutableTags of its Repository", p.stored.Upstream, p.stored.Digest)
}

// unavailable says why the object's pin is not in force; the reason is empty where it is, where there is none, and while that is not known.
func (p *pass) unavailable() (reason, message string) {
	own := digest.Digest(p.found.Spec.PinnedDigest)
	old := meta.FindStatusCondition(p.previous.Conditions, v1alpha1.ConditionPinUnavailable)
	switch {
	case own == "":
		return "", ""
	case own != p.pin.digest:
		return v1alpha1.ReasonConflict, fmt.Sprintf("CachedImage %s, which is older, pins the same tag to %s: remove one of the two pins", p.pin.by, p.pin.digest)
	case p.pinned():
		return "", ""
	case p.unpinned != nil:
		return p.unpinned.reason, p.unpinned.message() + "; until then nothing changes"
	case old != nil && old.ObservedGeneration == p.found.Generation:
		return old.Reason, old.Message // this process has not tried yet
	}
	return "", ""
}

// behind is the condition UpToDate of a tag that does not move to what its origin has.
func (p *pass) behind() *metav1.Condition {
	c := &metav1.Condition{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonPinned}
	why := "the tag is pinned"
	switch {
	case p.stored.Pin.By != "":
	case p.stored.Moved:
		c.Reason, why = v1alpha1.ReasonImmutable, "the tag is immutable"
	default:
		c.Reason, why = v1alpha1.ReasonMoved, "the next check moves the tag"
	}
	c.Message = fmt.Sprintf("the origin has %s now; %s is served: %s", p.stored.Upstream, p.stored.Digest, why)
	return c
}

// tellUnavailable makes an event of a pin that is not in force.
func (r *Reconciler) tellUnavailable(p *pass, s *v1alpha1.CachedImageStatus) {
	was := meta.FindStatusCondition(p.previous.Conditions, v1alpha1.ConditionPinUnavailable)
	is := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionPinUnavailable)
	if is != nil && (was == nil || was.Reason != is.Reason) {
		r.event(p.found, corev1.EventTypeWarning, eventPinUnavailable, "Pin", is.Message)
	}
}
