package webhook_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/rewrite"
)

func TestLeave_OptOutsCostNoCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rewrite.Config{})
	pods := map[string]*corev1.Pod{}
	for _, key := range rewrite.PolicyLabels {
		pod := w.pod("")
		pod.Labels = map[string]string{key: rewrite.PolicyIgnore}
		pods["the label "+key] = pod
	}
	mirror := w.pod("")
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "hash"}
	mirror.Spec.NodeName = "worker"
	pods["a mirror pod"] = mirror
	windows := w.pod("")
	windows.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
	pods["a Windows pod"] = windows
	selects := w.pod("")
	selects.Spec.NodeSelector = map[string]string{corev1.LabelOSStable: "windows"}
	pods["a pod for Windows nodes"] = selects
	for what, pod := range pods {
		pod.GenerateName = "pod-"
		pod.Spec.Containers = []corev1.Container{container("c", "nginx:1")}
		w.create(pod)
		if diff := cmp.Diff(map[string]string{"c": "nginx:1"}, images(pod)); diff != "" || pod.Annotations[rewrite.AnnotationNotRewritten] != "" {
			t.Errorf("%s: annotations %v, images (-want +got):\n%s", what, pod.Annotations, diff)
		}
		if got := w.calls.Swap(0); got != 0 {
			t.Errorf("%s: the API server asked %d times, want none", what, got)
		}
	}
	linux := w.pod("linux", container("c", "nginx:1"))
	linux.Labels = map[string]string{rewrite.PolicyLabels[0]: "cache"}
	linux.Annotations = map[string]string{"a": "b"}
	linux.Spec.OS, linux.Spec.NodeSelector = &corev1.PodOS{Name: corev1.Linux}, map[string]string{corev1.LabelOSStable: "linux"}
	w.create(linux)
	if got := w.calls.Load(); got != 1 || images(linux)["c"] != behind+"nginx:1" {
		t.Errorf("a Linux pod: the API server asked %d times, and the image is %s", got, images(linux)["c"])
	}
}

func TestLeave_NamespacesThatOptOutCostNoCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rewrite.Config{})
	for _, key := range rewrite.PolicyLabels {
		var n corev1.Namespace
		if err := cluster.Get(t.Context(), client.ObjectKey{Name: w.namespace}, &n); err != nil {
			t.Fatal(err)
		}
		n.Labels[key] = rewrite.PolicyIgnore
		if err := cluster.Update(t.Context(), &n); err != nil {
			t.Fatal(err)
		}
		image := func() string {
			pod := w.pod("", container("c", "nginx:1"))
			pod.GenerateName = "pod-"
			w.create(pod, client.DryRunAll)
			return pod.Spec.Containers[0].Image
		}
		eventually(t, "the API server to ask no more because of "+key, func() bool { return w.calls.Swap(0) == 0 && image() == "nginx:1" && w.calls.Load() == 0 })
		delete(n.Labels, key)
		if err := cluster.Update(t.Context(), &n); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the API server to ask again", func() bool { return image() == behind+"nginx:1" })
	}
}

// By the chart's selectors these pods do not come; a configuration that somebody changed may send them.
func TestLeave_TheWebhookKnowsNamespacesItself(t *testing.T) {
	t.Parallel()
	h := newRig(t, rewrite.Config{IgnoredNamespaces: []string{"ignored"}})
	optedOut := namespace(t, map[string]string{rewrite.PolicyLabels[1]: rewrite.PolicyIgnore})
	eventually(t, "the view to know the namespace", func() bool { return h.view.NamespaceLabels(t.Context(), optedOut) != nil })
	for namespace, want := range map[string]rewrite.Reason{
		optedOut: rewrite.OptOutNamespace, "ignored": rewrite.IgnoredNamespace, metav1.NamespaceSystem: rewrite.IgnoredNamespace,
		"larder-system": rewrite.IgnoredNamespace, "unknown": "",
	} {
		resp := h.review(t, namespace, `{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"nginx:1"}]}}`)
		if got := count(t, h.registry, "larder_webhook_pods_left_total", string(want)); want != "" && got == 0 {
			t.Errorf("%s: no pod was counted as %s; the answer is %s", namespace, want, resp.Patch)
		}
	}
	if got := count(t, h.registry, "larder_webhook_images_total", "rewritten"); got != 1 {
		t.Errorf("%v images were rewritten, want that of the namespace that nobody knows", got)
	}
}

func TestLeave_AnImageThatLarderCannotGetIsLeftToItsOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rewrite.Config{})
	image := &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}, Spec: v1alpha1.CachedImageSpec{SourceImage: w.namespace + ":1"}}
	if err := cluster.Create(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	say := func(phase v1alpha1.CachedImagePhase, reason string, cached bool) {
		t.Helper()
		image.Status.Phase, image.Status.IsCached = phase, &cached
		meta.SetStatusCondition(&image.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason})
		if err := cluster.Status().Update(t.Context(), image); err != nil {
			t.Fatal(err)
		}
	}
	left := func() bool {
		pod := w.pod("a", container("c", w.namespace+":1"), container("other", w.namespace+":2"))
		w.create(pod, client.DryRunAll)
		if got := images(pod)["other"]; got != behind+w.namespace+":2" {
			t.Errorf("the image of which there is no CachedImage is %s, want it rewritten", got)
		}
		return images(pod)["c"] == w.namespace+":1"
	}
	for _, reason := range []string{v1alpha1.ReasonNotFound, v1alpha1.ReasonDenied, v1alpha1.ReasonRefused, v1alpha1.ReasonNoPlatform} {
		say(v1alpha1.CachedImageFailed, reason, false)
		eventually(t, "an image to be left alone: "+reason, left)
		say(v1alpha1.CachedImageReady, v1alpha1.ReasonMirrored, true)
		eventually(t, "it to be rewritten again", func() bool { return !left() })
	}
	say(v1alpha1.CachedImageFailed, v1alpha1.ReasonNotFound, true)
	say(v1alpha1.CachedImageFailed, v1alpha1.ReasonOriginFailed, false)
	say(v1alpha1.CachedImageFailed, v1alpha1.ReasonRateLimited, false)
	if left() {
		t.Error("an image whose origin failed for now was left alone, want it rewritten")
	}
}
