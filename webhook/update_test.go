package webhook_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/rewrite"
)

func (w *world) update(pod *corev1.Pod) {
	w.t.Helper()
	if err := cluster.Update(w.t.Context(), pod); err != nil {
		w.t.Fatalf("updating pod %s: %v", pod.Name, err)
	}
}

func TestUpdate_TouchesOnlyImagesThatChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rewrite.Config{})
	pod := w.pod("a", container("a", "nginx:1"), container("b", "nginx:2"), container("c", "nginx:latest"))
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "data:1"}}}}
	pod.Labels = map[string]string{rewrite.PolicyLabels[0]: rewrite.PolicyIgnore}
	w.create(pod)
	if got := w.calls.Load(); got != 0 {
		t.Fatalf("the API server asked %d times about a pod that opted out, want none", got)
	}
	pod.Labels = nil
	w.update(pod)
	pod.Annotations = map[string]string{"x": "y"}
	w.update(pod)
	if err := cluster.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if got := w.calls.Load(); got != 0 {
		t.Errorf("the API server asked %d times about updates that change no image, want none", got)
	}
	pod.Spec.Containers[1].Image = "nginx:3"
	w.update(pod)
	want := map[string]string{"a": "nginx:1", "b": behind + "nginx:3", "c": "nginx:latest", "volume/v": "data:1"}
	if diff := cmp.Diff(want, images(pod)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if got, want := pod.Annotations[rewrite.AnnotationOriginals], `{"b":"nginx:3"}`; got != want {
		t.Errorf("the originals are %s, want %s", got, want)
	}
	if got := w.calls.Load(); got != 1 {
		t.Errorf("the API server asked %d times about one new image, want once", got)
	}
}

func TestUpdate_EphemeralContainersThroughTheirSubresource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rewrite.Config{})
	pod := w.pod("a", container("c", "nginx:1"))
	w.create(pod)
	debug := func(name, image string) {
		t.Helper()
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: name, Image: image},
		})
		if err := cluster.SubResource("ephemeralcontainers").Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	debug("one", "busybox:1")
	debug("two", "busybox")
	debug("three", "ghcr.io/org/tools@"+digest)
	if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"c": behind + "nginx:1", "one": behind + "busybox:1", "two": "busybox", "three": proxy + "/ghcr.io/org/tools@" + digest,
	}
	if diff := cmp.Diff(want, images(pod)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if got := w.calls.Load(); got != 4 {
		t.Errorf("the API server asked %d times, want once for the pod and once for each container", got)
	}
	out, err := cluster.Kubectl(t, "debug", "--namespace", w.namespace, "a", "--image", "busybox:2", "--container", "four")
	if err != nil {
		t.Fatalf("kubectl debug: %v\n%s", err, out)
	}
	if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
		t.Fatal(err)
	}
	if got, want := images(pod)["four"], behind+"busybox:2"; got != want {
		t.Errorf("the image of kubectl debug is %s, want %s", got, want)
	}
}
