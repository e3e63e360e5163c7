package usage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/rollout"
)

// FieldOwner finds the active pods of a revision of a workload, by rollout.Owner.Key, of which the webhook resolved an image.
const FieldOwner = "larder.dev/owner"

// Resolved returns the digest that the webhook wrote behind a tag in a pod of a revision of a workload; empty where no such pod is active.
// The cache is one that IndexPods prepared.
func Resolved(ctx context.Context, reader client.Reader, scope Scope, owner rollout.Owner, ref imageref.Reference) (digest.Digest, error) {
	var pods corev1.PodList
	err := reader.List(ctx, &pods, client.MatchingFields{FieldOwner: owner.Key()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return "", fmt.Errorf("listing the pods of %s %s: %w", owner.Kind.Kind, owner.Name, err)
	}
	for i := range pods.Items {
		for running, tag := range resolved(&pods.Items[i], scope.Running(&pods.Items[i])) {
			if tag == ref {
				return running.Digest, nil
			}
		}
	}
	return "", nil
}

// ownerKeys returns the keys of a pod in FieldOwner.
func ownerKeys(scope Scope) client.IndexerFunc {
	return func(object client.Object) []string {
		pod, ok := object.(*corev1.Pod)
		if !ok || !Active(pod) || len(resolved(pod, scope.Running(pod))) == 0 {
			return nil
		}
		owner, ok := rollout.OwnerOf(pod)
		if !ok {
			return nil
		}
		return []string{owner.Key()}
	}
}

// resolved are the images of a pod, with their digests, that its owner named by tag alone, as the webhook's annotation tells. The tag is
// what each maps to.
func resolved(pod *corev1.Pod, running []imageref.Reference) map[imageref.Reference]imageref.Reference {
	var originals map[string]string
	if !digested(&pod.Spec) || json.Unmarshal([]byte(pod.Annotations[v1alpha1.AnnotationOriginals]), &originals) != nil {
		return nil // anybody may write it
	}
	named := map[imageref.Reference]bool{}
	for _, original := range originals {
		if ref, err := imageref.Parse(original); err == nil {
			named[ref] = true
		}
	}
	tags := map[imageref.Reference]imageref.Reference{}
	for _, ref := range running {
		tag := imageref.Reference{Repository: ref.Repository, Tag: ref.Tag}
		if ref.Digest != "" && !named[ref] && named[tag] {
			tags[ref] = tag
		}
	}
	return tags
}

// digested says whether an image of a pod has a digest.
func digested(spec *corev1.PodSpec) bool {
	for _, i := range imagesOf(spec) {
		if strings.Contains(i.name, "@") {
			return true
		}
	}
	return false
}

// keepResolved returns what of a pod's metadata tells of digests that the webhook wrote.
func keepResolved(pod *corev1.Pod, slim metav1.ObjectMeta) metav1.ObjectMeta {
	originals, noted := pod.Annotations[v1alpha1.AnnotationOriginals]
	if !noted || !digested(&pod.Spec) {
		return slim
	}
	slim.Annotations = map[string]string{v1alpha1.AnnotationOriginals: originals}
	if hash := pod.Labels[appsv1.ControllerRevisionHashLabelKey]; hash != "" {
		slim.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: hash}
	}
	if controller := metav1.GetControllerOf(pod); controller != nil {
		slim.OwnerReferences = []metav1.OwnerReference{*controller}
	}
	return slim
}
