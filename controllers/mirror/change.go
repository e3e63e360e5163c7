package mirror

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/events"
)

// Teller is told of changes of images: an *events.Teller. It must not wait for anybody.
type Teller interface {
	Tell(change events.Change)
}

// wordings say how Kubernetes' events call what changed.
var wordings = map[events.Kind]struct{ kind, reason, action string }{
	events.Discovered: {corev1.EventTypeNormal, "Discovered", "Watch"},
	events.Mirrored:   {corev1.EventTypeNormal, "Mirrored", "Mirror"},
	events.Moved:      {corev1.EventTypeNormal, "TagMoved", "Update"},
	events.Pinned:     {corev1.EventTypeNormal, "Pinned", "Pin"},
	events.Unpinned:   {corev1.EventTypeNormal, "Unpinned", "Pin"},
	events.Stale:      {corev1.EventTypeWarning, "Stale", "Check"},
	events.Current:    {corev1.EventTypeNormal, "Current", "Check"},
	events.Gone:       {corev1.EventTypeWarning, "GoneUpstream", "Check"},
	events.Back:       {corev1.EventTypeNormal, "BackUpstream", "Check"},
	events.Evicted:    {corev1.EventTypeWarning, "Evicted", "Evict"},
	events.Held:       {corev1.EventTypeWarning, "ImmutableTagMoved", "Check"},
}

// change tells of a change, with a note for people. It is the one place from which all are told that there are: the metric and the sink by
// Options.Changes, and who looks at the object by an event of Kubernetes.
func (r *Reconciler) change(found *v1alpha1.CachedImage, c events.Change, note string) {
	if r.o.Changes != nil {
		r.o.Changes.Tell(c)
	}
	r.say(found, c.Kind, note)
}

// say makes the event of Kubernetes alone: where several objects ask for an image, the change is told once.
func (r *Reconciler) say(found *v1alpha1.CachedImage, kind events.Kind, note string) {
	w := wordings[kind]
	r.event(found, w.kind, w.reason, w.action, note)
}

// step is what changes from one status of an image to the next.
type step struct {
	r        *Reconciler
	p        *pass
	o        *object
	from, to *v1alpha1.CachedImageStatus
}

// changes tells what a status is about to say and the one before did not. It does so before the status is written, so that a process that
// ends between the two leaves it to the next one to tell again, with the same IDs, and not to nobody.
func (r *Reconciler) changes(p *pass, o *object, to *v1alpha1.CachedImageStatus) {
	if o.said == nil {
		o.said = p.previous.DeepCopy()
	}
	if p.broken != nil { // nothing is known of it
		return
	}
	from := o.said // not what was written last: what could not be is told already
	o.said = to
	s := step{r, p, o, from, to}
	s.discovered()
	s.moved()
	s.pinned()
	s.held()
	s.mirrored(r.fresh(p, o))
	s.confirmed()
	s.origin()
}

func (s step) tell(c events.Change, note string) {
	c.Image, c.At = s.p.ref.String(), s.p.now
	written := fingerprint(&s.p.previous)
	c.ID = events.ID(string(c.Kind), string(s.p.found.UID), written, string(c.Digest), s.o.told.next(written, c.Kind))
	s.r.change(s.p.found, c, note)
}

// discovered is about an object that Larder made for a pod, at the first look at it.
func (s step) discovered() {
	if s.from.Phase != "" || s.p.found.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		return
	}
	c := events.Change{Kind: events.Discovered, Image: s.p.ref.String(), At: s.p.now, ID: events.ID(string(events.Discovered), string(s.p.found.UID))}
	s.r.change(s.p.found, c, "a pod uses "+c.Image)
}

func (s step) moved() {
	if s.from.Digest == "" || s.to.Digest == "" || s.from.Digest == s.to.Digest {
		return
	}
	c := events.Change{Kind: events.Moved, Digest: digest.Digest(s.to.Digest), Previous: digest.Digest(s.from.Digest)}
	s.tell(c, fmt.Sprintf("from %s to %s", s.from.Digest, s.to.Digest))
}

// pinned is about a tag that is bound to a revision, to another one, or let go.
func (s step) pinned() {
	was, is := s.condition(v1alpha1.ConditionPinned)
	c := events.Change{Digest: digest.Digest(s.to.Digest)}
	if s.from.Digest != s.to.Digest {
		c.Previous = digest.Digest(s.from.Digest)
	}
	switch {
	case is != nil && (was == nil || c.Previous != ""):
		c.Kind = events.Pinned
		s.tell(c, is.Message)
	case is == nil && was != nil:
		c.Kind = events.Unpinned
		s.tell(c, s.to.Digest+" is served now")
	}
}

// held is about an immutable tag that its origin moved, once for each digest that it moved to.
func (s step) held() {
	was, is := s.condition(v1alpha1.ConditionMoved)
	if is == nil || was != nil && s.from.UpstreamDigest == s.to.UpstreamDigest {
		return
	}
	s.tell(events.Change{Kind: events.Held, Digest: digest.Digest(s.to.Digest), Upstream: digest.Digest(s.to.UpstreamDigest)}, is.Message)
}

func (s step) condition(kind string) (was, is *metav1.Condition) {
	return meta.FindStatusCondition(s.from.Conditions, kind), meta.FindStatusCondition(s.to.Conditions, kind)
}

// mirrored is about a revision that is stored whole now, or was repaired by the mirror m.
func (s step) mirrored(m *mirrored) {
	cached := ptr.Deref(s.from.IsCached, false) && s.from.Digest == s.to.Digest
	if !ptr.Deref(s.to.IsCached, false) || cached && (m == nil || m.Loaded == 0) {
		return
	}
	c := events.Change{Kind: events.Mirrored, Digest: digest.Digest(s.to.Digest), Bytes: s.p.stored.Size}
	note := s.to.Digest + ": stored whole"
	if m != nil {
		note = fmt.Sprintf("%s: %s in %v, of which %s came from the origin", m.Digest, sizeOf(m.Size), m.took.Round(10*time.Millisecond), sizeOf(m.Loaded))
	}
	s.tell(c, note)
}

// confirmed is about whether the origin confirms what is served.
func (s step) confirmed() {
	before, now := unconfirmedBy(s.from), unconfirmedBy(s.to)
	served := digest.Digest(s.to.Digest)
	switch {
	case now != nil && before == nil:
		c := events.Change{Kind: events.Stale, Digest: served, Reason: now.Reason, Since: now.LastTransitionTime.Time}
		if s.p.differs() {
			c.Upstream = s.p.stored.Upstream
		}
		s.tell(c, now.Reason+": "+now.Message)
	case before != nil && now == nil && s.from.Digest == s.to.Digest && meta.IsStatusConditionTrue(s.to.Conditions, v1alpha1.ConditionUpToDate):
		s.tell(events.Change{Kind: events.Current, Digest: served}, fmt.Sprintf("the origin %s confirmed it", s.p.place))
	}
}

// unconfirmedBy is the condition that says that the origin does not confirm what is served; nil where it does, or where the image is gone
// there or moved though it is not to, which are changes of their own.
func unconfirmedBy(s *v1alpha1.CachedImageStatus) *metav1.Condition {
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionUpToDate)
	if c == nil || c.Status == metav1.ConditionTrue || c.Reason == v1alpha1.ReasonNotFound || c.Reason == v1alpha1.ReasonImmutable {
		return nil
	}
	return c
}

// origin is about whether the origin has the image at all.
func (s step) origin() {
	before, now := s.from.AvailableUpstream, s.to.AvailableUpstream
	if before == nil || now == nil || *before == *now {
		return
	}
	c := events.Change{Digest: digest.Digest(s.to.Digest)}
	if *now {
		c.Kind = events.Back
		s.tell(c, fmt.Sprintf("the origin %s has the image again", s.p.place))
		return
	}
	c.Kind, c.Reason = events.Gone, v1alpha1.ReasonNotFound
	if s.from.LastSeenUpstream != nil {
		c.Since = s.from.LastSeenUpstream.Time
	}
	s.tell(c, fmt.Sprintf("the origin %s has no such image any more; what is stored is served", s.p.place))
}

// told counts the changes of each kind since a status was written. With what was written last it makes their IDs, so that a process that
// finds that status tells them by the same ones.
type told struct {
	since string
	kinds map[events.Kind]int
}

func (t *told) next(written string, kind events.Kind) string {
	if t.since != written || t.kinds == nil {
		t.since, t.kinds = written, map[events.Kind]int{}
	}
	t.kinds[kind]++
	return strconv.Itoa(t.kinds[kind])
}

// fingerprint tells a status from all others of an object, by what is written at once: a mere timestamp may not have been.
func fingerprint(s *v1alpha1.CachedImageStatus) string {
	kept := *s
	kept.LastSync, kept.LastSeenUpstream, kept.UsedBy, kept.Progress = nil, nil, nil, ""
	kept.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), func(c metav1.Condition) bool { return c.Type == v1alpha1.ConditionInUse })
	kept.History = slices.Clone(s.History)
	for i := range kept.History {
		kept.History[i].LastSeen = metav1.Time{}
	}
	slices.SortFunc(kept.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	text, _ := json.Marshal(kept) // it was, or will be, written as JSON
	return events.ID(string(text))
}
