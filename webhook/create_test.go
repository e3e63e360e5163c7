package webhook_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/larder-dev/larder/internal/rewrite"
)

const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestCreate_PodsComeOutAsDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rewrite.Config{
		IgnoredImages: []string{`^quay\.io/ignored/`}, AcceptedImages: []string{`^(docker\.io|ghcr\.io|quay\.io|reg\.example|\[fd00::1\]:5000)`},
		NoProxyNodeSelectors: []map[string]string{{"type": "virtual-kubelet"}},
	})
	always := ptr.To(corev1.ContainerRestartPolicyAlways)
	for name, tt := range map[string]struct {
		pod         corev1.PodSpec
		meta        metav1.ObjectMeta
		want        map[string]string
		annotations map[string]string
	}{
		"Every kind of container": {
			pod: corev1.PodSpec{
				InitContainers: []corev1.Container{container("i", "busybox:1"), {Name: "s", Image: "envoy:2", RestartPolicy: always}},
				Containers:     []corev1.Container{container("c", "ghcr.io/org/app:v1")},
				Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
					Image: &corev1.ImageVolumeSource{Reference: "data:4", PullPolicy: corev1.PullIfNotPresent},
				}}},
			},
			want: map[string]string{"i": behind + "busybox:1", "s": behind + "envoy:2", "c": proxy + "/ghcr.io/org/app:v1", "volume/v": behind + "data:4"},
			annotations: map[string]string{
				rewrite.AnnotationOriginals: `{"c":"ghcr.io/org/app:v1","i":"busybox:1","s":"envoy:2","volume/v":"data:4"}`,
			},
		},
		"Digests, ports and addresses": {
			pod: corev1.PodSpec{Containers: []corev1.Container{
				container("d", "nginx@"+digest), container("both", "nginx:1@"+digest), container("port", "reg.example:5000/app:1"),
				container("ipv6", "[fd00::1]:5000/app:1"),
			}},
			want: map[string]string{
				"d": behind + "nginx@" + digest, "both": behind + "nginx:1@" + digest, "port": proxy + "/reg.example_5000/app:1",
				"ipv6": proxy + "/fd00_0000_0000_0000_0000_0000_0000_0001_5000/app:1",
			},
		},
		"The API server's default policies": {
			pod:  corev1.PodSpec{Containers: []corev1.Container{container("latest", "nginx:latest"), container("none", "nginx"), container("d", "nginx@"+digest)}},
			want: map[string]string{"latest": "nginx:latest", "none": "nginx", "d": behind + "nginx@" + digest},
			annotations: map[string]string{
				rewrite.AnnotationOriginals:    `{"d":"nginx@` + digest + `"}`,
				rewrite.AnnotationNotRewritten: `{"latest":"PullPolicyAlways","none":"PullPolicyAlways"}`,
			},
		},
		"Reasons to leave images alone": {
			pod: corev1.PodSpec{Containers: []corev1.Container{
				with(corev1.PullNever, container("never", "nginx:1")), with(corev1.PullAlways, container("always", "nginx:1")),
				container("ignored", "quay.io/ignored/a:1"), container("other", "gcr.io/a/b:1"), container("local", "localhost:5000/x:1"),
				container("invalid", "Nginx:1"),
			}},
			want: map[string]string{
				"never": "nginx:1", "always": "nginx:1", "ignored": "quay.io/ignored/a:1", "other": "gcr.io/a/b:1", "local": "localhost:5000/x:1",
				"invalid": "Nginx:1",
			},
			annotations: map[string]string{rewrite.AnnotationNotRewritten: `{"always":"PullPolicyAlways","ignored":"IgnoredImage","invalid":"InvalidImage",` +
				`"local":"LocalRegistry","never":"PullPolicyNever","other":"NotAcceptedImage"}`},
		},
		"Rewritten already": {
			meta: metav1.ObjectMeta{Annotations: map[string]string{rewrite.AnnotationOriginals: `{"c":"nginx:1"}`, "mine": "stays"}},
			pod:  corev1.PodSpec{Containers: []corev1.Container{container("c", behind+"nginx:1")}},
			want: map[string]string{"c": behind + "nginx:1"},
			annotations: map[string]string{
				rewrite.AnnotationOriginals: `{"c":"nginx:1"}`, "mine": "stays",
			},
		},
		"Nodes without a proxy": {
			pod: corev1.PodSpec{
				Containers: []corev1.Container{container("c", "nginx:1")}, NodeSelector: map[string]string{"type": "virtual-kubelet"},
			},
			want:        map[string]string{"c": "nginx:1"},
			annotations: map[string]string{rewrite.AnnotationNotRewritten: `{"*":"NoProxyOnNode"}`},
		},
		"An operator that compares images": {
			meta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "postgresql.cnpg.io/v1", Kind: "Cluster", Name: "pg", UID: "1"},
			}},
			pod:         corev1.PodSpec{Containers: []corev1.Container{container("c", "nginx:1")}},
			want:        map[string]string{"c": "nginx:1"},
			annotations: map[string]string{rewrite.AnnotationNotRewritten: `{"*":"OperatorCompares"}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{ObjectMeta: tt.meta, Spec: tt.pod}
			pod.Namespace, pod.GenerateName = w.namespace, "pod-"
			if err := cluster.Create(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, images(pod)); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.annotations, pod.Annotations); tt.annotations != nil && diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCreate_APodOf200Containers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rewrite.Config{})
	pod := w.pod("many")
	for i := range 200 {
		pod.Spec.Containers = append(pod.Spec.Containers, container(fmt.Sprintf("c%d", i), fmt.Sprintf("app%d:1", i)))
	}
	w.create(pod)
	for i, c := range pod.Spec.Containers {
		if want := fmt.Sprintf("%sapp%d:1", behind, i); c.Image != want {
			t.Errorf("image %d is %s, want %s", i, c.Image, want)
		}
	}
	// The API server has to compute as much to see that nothing of it changes, and has a limit for that.
	before := w.calls.Load()
	pod.Labels = map[string]string{"a": "b"}
	w.update(pod)
	if got := w.calls.Load() - before; got != 0 {
		t.Errorf("the API server asked %d times about a label, want none", got)
	}
	pod.Spec.Containers[199].Image = "app199:2"
	w.update(pod)
	if got, want := pod.Spec.Containers[199].Image, behind+"app199:2"; got != want {
		t.Errorf("the updated image is %s, want %s", got, want)
	}
}
