package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

const (
	annotationRestartedAt = "kubectl.kubernetes.io/restartedAt" // kubectl rollout restart's
	annotationRevision    = "deployment.kubernetes.io/revision" // the number of a ReplicaSet among its Deployment's
)

// workload is a Deployment, StatefulSet or DaemonSet as the API server has it at that moment.
type workload struct {
	object   client.Object
	kind     string
	template *corev1.PodTemplateSpec // the object's own
	paused   bool
	onDelete bool            // it replaces no pods by itself
	created  time.Time       // of its revision in force; zero where it has none yet
	restarts map[string]bool // for what it was restarted, as far as its revisions remember
	pods     []corev1.Pod
}

func (w *workload) String() string {
	return w.kind + " " + w.object.GetNamespace() + "/" + w.object.GetName()
}

// read asks the API server for a workload, its revisions and its pods. The object is of a cache, and is not changed.
func (r *Reconciler) read(ctx context.Context, cached client.Object) (*workload, error) {
	w, selector, err := r.get(ctx, cached)
	if err != nil {
		return nil, err
	}
	w.paused = w.paused || w.object.GetAnnotations()[v1alpha1.AnnotationPaused] == "true"
	w.remember(w.template.Annotations)
	matching, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("reading the selector of %s: %w", w, err)
	}
	among := &client.ListOptions{Namespace: w.object.GetNamespace(), LabelSelector: matching}
	owners, err := r.readRevisions(ctx, w, among)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	if err := r.o.Live.List(ctx, &pods, among); err != nil {
		return nil, fmt.Errorf("listing the pods of %s: %w", w, err)
	}
	for _, pod := range pods.Items {
		controller := metav1.GetControllerOfNoCopy(&pod)
		if controller != nil && owners[controller.UID] && usage.Active(&pod) && pod.DeletionTimestamp.IsZero() {
			w.pods = append(w.pods, pod)
		}
	}
	return w, nil
}

// get asks the API server for the object of a workload, and returns the selector of its pods too.
func (r *Reconciler) get(ctx context.Context, cached client.Object) (*workload, *metav1.LabelSelector, error) {
	key := client.ObjectKeyFromObject(cached)
	restarts := map[string]bool{}
	switch cached.(type) {
	case *appsv1.Deployment:
		object := &appsv1.Deployment{}
		err := r.o.Live.Get(ctx, key, object)
		return &workload{
			object: object, kind: "Deployment", template: &object.Spec.Template, restarts: restarts, paused: object.Spec.Paused,
		}, object.Spec.Selector, err
	case *appsv1.StatefulSet:
		object := &appsv1.StatefulSet{}
		err := r.o.Live.Get(ctx, key, object)
		return &workload{
			object: object, kind: "StatefulSet", template: &object.Spec.Template, restarts: restarts,
			onDelete: object.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		}, object.Spec.Selector, err
	case *appsv1.DaemonSet:
		object := &appsv1.DaemonSet{}
		err := r.o.Live.Get(ctx, key, object)
		return &workload{
			object: object, kind: "DaemonSet", template: &object.Spec.Template, restarts: restarts,
			onDelete: object.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
		}, object.Spec.Selector, err
	}
	return nil, nil, fmt.Errorf("a %T is not rolled", cached)
}

// readRevisions reads what the revisions of a workload tell, and returns the objects that control its pods.
func (r *Reconciler) readRevisions(ctx context.Context, w *workload, among *client.ListOptions) (map[types.UID]bool, error) {
	owners := map[types.UID]bool{w.object.GetUID(): true}
	newest := int64(-1)
	note := func(revision client.Object, number int64, annotations map[string]string) {
		owners[revision.GetUID()] = true
		w.remember(annotations)
		if number > newest {
			newest, w.created = number, revision.GetCreationTimestamp().Time
		}
	}
	if w.kind == "Deployment" {
		var sets appsv1.ReplicaSetList
		if err := r.o.Live.List(ctx, &sets, among); err != nil {
			return nil, fmt.Errorf("listing the ReplicaSets of %s: %w", w, err)
		}
		for i := range sets.Items {
			if set := &sets.Items[i]; metav1.IsControlledBy(set, w.object) {
				number, _ := strconv.ParseInt(set.Annotations[annotationRevision], 10, 64) // 0 until its controller has seen it
				note(set, number, set.Spec.Template.Annotations)
			}
		}
		return owners, nil
	}
	var revisions appsv1.ControllerRevisionList
	if err := r.o.Live.List(ctx, &revisions, among); err != nil {
		return nil, fmt.Errorf("listing the ControllerRevisions of %s: %w", w, err)
	}
	for i := range revisions.Items {
		if revision := &revisions.Items[i]; metav1.IsControlledBy(revision, w.object) {
			note(revision, revision.Revision, templateAnnotations(revision.Data.Raw))
		}
	}
	return owners, nil
}

// templateAnnotations are those of the template that a ControllerRevision holds.
func templateAnnotations(data []byte) map[string]string {
	var held struct {
		Spec struct {
			Template struct {
				Metadata metav1.ObjectMeta `json:"metadata"`
			} `json:"template"`
		} `json:"spec"`
	}
	if json.Unmarshal(data, &held) != nil {
		return nil
	}
	return held.Spec.Template.Metadata.Annotations
}

// remember notes for what a template says that its workload was restarted.
func (w *workload) remember(annotations map[string]string) {
	for token := range strings.SplitSeq(annotations[v1alpha1.AnnotationRestartedFor], ",") {
		if token != "" {
			w.restarts[token] = true
		}
	}
}

// restarted is when the workload was last restarted, by whomever; zero where it never was.
func (w *workload) restarted() time.Time {
	at, err := time.Parse(time.RFC3339, w.template.Annotations[annotationRestartedAt])
	if err != nil {
		return time.Time{}
	}
	return at
}

// interval is how long there is between two restarts at least.
func (w *workload) interval() time.Duration {
	if interval, ok, err := w.intervalText().Duration(); ok && err == nil {
		return interval
	}
	return defaultInterval
}

func (w *workload) intervalText() v1alpha1.Duration {
	return v1alpha1.Duration(w.object.GetAnnotations()[v1alpha1.AnnotationRestartInterval])
}

// intervalValid says whether the workload's own interval can be read, where it has one.
func (w *workload) intervalValid() bool {
	_, _, err := w.intervalText().Duration()
	return err == nil
}

// digestOf is the digest in what a runtime says of an image: "docker.io/library/nginx@sha256:...", or the digest alone; empty where there
// is none.
func digestOf(imageID string) digest.Digest {
	d, err := imageref.ParseDigest(imageID[strings.LastIndexByte(imageID, '@')+1:])
	if err != nil {
		return ""
	}
	return d
}
