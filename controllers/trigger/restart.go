package trigger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/status"
)

// The reasons and the action of events on workloads.
const (
	eventRestarted    = "Restarted"
	eventWouldNotPull = "WouldNotPull"
	actionRestart     = "Restart"
)

// restart rolls a workload as kubectl rollout restart does, unless it changed since it was read.
func (r *Reconciler) restart(ctx context.Context, p *pass, w *workload, targets []*target) error {
	before, ok := w.object.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%s cannot be copied", w)
	}
	var tokens, images []string
	for _, t := range targets {
		tokens = append(tokens, t.token())
		images = append(images, fmt.Sprintf("%s is %s now", t.ref.Short(), t.newest().Digest))
	}
	slices.Sort(tokens)
	metav1.SetMetaDataAnnotation(&w.template.ObjectMeta, annotationRestartedAt, p.now.Format(time.RFC3339))
	metav1.SetMetaDataAnnotation(&w.template.ObjectMeta, v1alpha1.AnnotationRestartedFor, strings.Join(slices.Compact(tokens), ","))
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.o.Client.Patch(ctx, w.object, patch, status.Trigger); err != nil {
		return fmt.Errorf("restarting %s: %w", w, err)
	}
	note := strings.Join(images, ", ")
	r.restarts.WithLabelValues(w.kind).Inc()
	log.FromContext(ctx).Info("workload restarted", "workload", w.String(), "images", note)
	if !w.intervalValid() {
		note += fmt.Sprintf("; %s is no duration such as 10m, so %s holds", v1alpha1.AnnotationRestartInterval, defaultInterval)
	}
	r.o.Events.Eventf(w.object, p.image, corev1.EventTypeNormal, eventRestarted, actionRestart, "%s", status.Note(note))
	return nil
}
