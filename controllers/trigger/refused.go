package trigger

import (
	"context"
	"fmt"
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

// tell says in the condition WouldNotPull, and to each workload by an event, of which a restart would not help. Where that was said
// before, nothing is written.
func (r *Reconciler) tell(ctx context.Context, p *pass) error {
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
	for _, w := range p.wouldNot {
		if before == nil || !strings.Contains(before.Message, w.String()) {
			r.o.Events.Eventf(w.object, p.image, corev1.EventTypeWarning, eventWouldNotPull, actionRestart, "%s is %s now, but a restart would not pull it: %s",
				p.target.ref.Short(), p.target.newest().Digest, advice[w.reason])
		}
	}
	return nil
}

// refusals names workloads, and says why of each.
func refusals(all []refusal) string {
	var texts []string
	for _, w := range all[:min(len(all), listed)] {
		texts = append(texts, fmt.Sprintf("%s: %s", w, advice[w.reason]))
	}
	text := strings.Join(texts, "; ")
	if more := len(all) - listed; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}
