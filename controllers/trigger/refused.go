package trigger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/status"
)

// listed is how many workloads a condition names.
const listed = 5

// advice says for each reason why a restart would not pull the target, and what to do.
var advice = map[string]string{
	v1alpha1.ReasonPullPolicy: "the node would run the copy that it has: set resolveDigests on the Repository, or imagePullPolicy: Always",
	v1alpha1.ReasonOnDelete:   "its updateStrategy is OnDelete: delete its pods, or set RollingUpdate",
}

// refusal is a workload that a restart would not help.
type refusal struct {
	*workload
	reason string
}

// text names the workload, and says why.
func (w refusal) text() string { return w.String() + ": " + advice[w.reason] }

// tell says in the condition WouldNotPull, and to each workload by an event, of which a restart would not help. Where that was said
// before, nothing is written.
func (r *Reconciler) tell(ctx context.Context, p *pass) error {
	slices.SortFunc(p.wouldNot, func(a, b refusal) int { return cmp.Compare(a.String(), b.String()) }) // a cache lists them in any order
	var desired v1alpha1.CachedImageStatus
	if len(p.wouldNot) > 0 {
		status.Set(&desired.Conditions, p.image.Status.Conditions, p.now, metav1.Condition{
			Type: v1alpha1.ConditionWouldNotPull, Status: metav1.ConditionTrue, Reason: p.wouldNot[0].reason, Message: refusals(p.wouldNot),
			ObservedGeneration: p.image.Generation,
		})
	}
	before := meta.FindStatusCondition(p.image.Status.Conditions, v1alpha1.ConditionWouldNotPull)
	if _, err := status.ApplyImage(ctx, r.o.Client, status.Trigger, p.image, desired, p.now); err != nil {
		return client.IgnoreNotFound(err)
	}
	for _, w := range r.warned.news(p, before) {
		note := fmt.Sprintf("%s is %s now, but a restart would not pull it: %s", p.target.ref.Short(), p.target.newest().Digest, advice[w.reason])
		r.o.Events.Eventf(w.object, p.image, corev1.EventTypeWarning, eventWouldNotPull, actionRestart, "%s", status.Note(note))
	}
	return nil
}

// refusals names workloads, and says why of each.
func refusals(all []refusal) string {
	var texts []string
	for _, w := range all[:min(len(all), listed)] {
		texts = append(texts, w.text())
	}
	text := strings.Join(texts, separator)
	if more := len(all) - listed; more > 0 {
		text += fmt.Sprintf("%sand %d more", separator, more)
	}
	return text
}

const separator = "; "

// warned are the workloads of each image, by name, that were told that a restart would not help. The condition names some of them only; what
// a process before this one told others is not known, unless the condition is the same still.
type warned map[string]map[string]bool

// news lists those of a pass that were not told yet, and notes that they are. before is the condition as it was.
func (told warned) news(p *pass, before *metav1.Condition) (fresh []refusal) {
	known, ours := told[p.image.Name]
	now := map[string]bool{}
	for _, w := range p.wouldNot {
		text := w.text()
		was := known[text]
		if !ours {
			was = saidBefore(p, before, text)
		}
		if !was {
			fresh = append(fresh, w)
		}
		now[text] = true
	}
	if told[p.image.Name] = now; len(now) == 0 {
		delete(told, p.image.Name)
	}
	return fresh
}

// saidBefore says whether an earlier process told a workload, as far as the condition tells.
func saidBefore(p *pass, before *metav1.Condition, text string) bool {
	return before != nil && (before.Message == refusals(p.wouldNot) || slices.Contains(strings.Split(before.Message, separator), text))
}
