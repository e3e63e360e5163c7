package mirror

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/status"
)

// setConditions builds the conditions anew.
func (r *Reconciler) setConditions(p *pass, s *v1alpha1.CachedImageStatus) {
	set := func(kind string, value metav1.ConditionStatus, reason, message string) {
		status.Set(&s.Conditions, p.previous.Conditions, p.now, metav1.Condition{
			Type: kind, Status: value, Reason: reason, Message: message, ObservedGeneration: p.found.Generation,
		})
	}
	value, reason, message := p.ready()
	set(v1alpha1.ConditionReady, value, reason, message)
	if p.busy && (p.failure == nil || p.mirroring()) {
		set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, reasonOfWork(p), p.work())
	} else if p.failure != nil && p.failure.stalled {
		set(v1alpha1.ConditionStalled, metav1.ConditionTrue, p.failure.reason, p.failure.message())
	}
	if c := r.upToDate(p); c != nil {
		set(v1alpha1.ConditionUpToDate, c.Status, c.Reason, c.Message)
	}
	for _, c := range p.held() {
		set(c.Type, metav1.ConditionTrue, c.Reason, c.Message)
	}
}

func (p *pass) ready() (value metav1.ConditionStatus, reason, message string) {
	switch {
	case p.whole():
		what := "the whole image is stored"
		if len(p.platforms) > 0 {
			what = "stored whole for " + strings.Join(p.platforms, ", ")
		}
		return metav1.ConditionTrue, v1alpha1.ReasonMirrored, what
	case p.out:
		return metav1.ConditionFalse, v1alpha1.ReasonEvicted, evicted
	case p.failure != nil && !p.mirroring():
		return metav1.ConditionFalse, p.failure.reason, p.failure.message()
	case p.busy:
		return metav1.ConditionFalse, reasonOfWork(p), p.work()
	case p.expired:
		return metav1.ConditionFalse, v1alpha1.ReasonPending, "unused, and so not brought in before it is removed"
	}
	return metav1.ConditionFalse, v1alpha1.ReasonPending, "not stored whole yet; " + retried
}

func reasonOfWork(p *pass) string {
	if p.shown.running {
		return v1alpha1.ReasonMirroring
	}
	return v1alpha1.ReasonPending
}

// work says what is being done. It has no numbers: status.progress has.
func (p *pass) work() string {
	if p.shown.running {
		return "being brought in from " + p.place
	}
	return "waits for its turn: others are being brought in"
}

// upToDate is the condition of an image by tag that the origin was asked for; nil where there is none.
func (r *Reconciler) upToDate(p *pass) *metav1.Condition {
	old := meta.FindStatusCondition(p.previous.Conditions, v1alpha1.ConditionUpToDate)
	switch {
	case p.broken != nil:
		return old
	case p.ref.Digest != "" || p.stored.CheckedAt.IsZero():
		return nil
	case p.problem != nil:
		return p.unconfirmed()
	case !p.stored.CheckedAt.After(r.began) && old != nil && !ofTheRecord[old.Reason]:
		return old // what this process does not know is not for it to change
	case p.differs() && !p.moved():
		return p.behind()
	case p.moved():
		return &metav1.Condition{
			Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonMoved,
			Message: fmt.Sprintf("the origin has %s now, which is being brought in; until then %s is served", p.stored.Upstream, p.stored.Digest),
		}
	}
	return &metav1.Condition{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonCurrent, Message: "the origin confirmed it at the last check"}
}

// ofTheRecord are the reasons that follow from what is stored of a tag, and not from how a check ended.
var ofTheRecord = map[string]bool{
	v1alpha1.ReasonCurrent: true, v1alpha1.ReasonMoved: true, v1alpha1.ReasonPinned: true, v1alpha1.ReasonImmutable: true,
}

// unconfirmed is the condition while checks fail.
func (p *pass) unconfirmed() *metav1.Condition {
	f := p.problem
	c := &metav1.Condition{Status: metav1.ConditionUnknown, Reason: f.reason, Message: f.what + "; what is stored is served meanwhile"}
	switch {
	case f.reason == v1alpha1.ReasonNotFound:
		c.Status = metav1.ConditionFalse
		c.Message = fmt.Sprintf("the origin %s has no such image any more; what is stored is served", p.place)
	case p.differs():
		c.Status = metav1.ConditionFalse
	}
	return c
}
