package usage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

const proxy = "localhost:7439"

var (
	rewriting = usage.Scope{Proxy: proxy}
	mirroring = usage.Scope{Proxy: proxy, All: true}
)

// using is a pod with an image in each place that has one.
func using(images ...string) *corev1.Pod {
	pod := &corev1.Pod{}
	for i, image := range images {
		switch c := (corev1.Container{Image: image}); i % 4 {
		case 0:
			pod.Spec.Containers = append(pod.Spec.Containers, c)
		case 1:
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
		case 2:
			pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{Image: image},
			})
		case 3:
			pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{}, corev1.Volume{
				VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image}},
			})
		}
	}
	return pod
}

// noting has the pod's annotation of the originals say something.
func noting(pod *corev1.Pod, originals string) *corev1.Pod {
	pod.Annotations = map[string]string{v1alpha1.AnnotationOriginals: originals}
	return pod
}

func forms(refs []imageref.Reference) []string {
	var all []string
	for _, ref := range refs {
		all = append(all, ref.String())
	}
	return all
}

func TestScope_Pod(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		scope usage.Scope
		pod   *corev1.Pod
		want  []string
	}{
		"Every place that names an image": {rewriting,
			using("localhost:7439/docker.io/library/d:1", "localhost:7439/c:1", "localhost:7439/reg.example_5000/b:1", "localhost:7439/a@sha256:"+zeros),
			[]string{"docker.io/library/a@sha256:" + zeros, "docker.io/library/c:1", "docker.io/library/d:1", "reg.example:5000/b:1"}},
		"Each image once, however it is written": {rewriting,
			using("localhost:7439/docker.io/library/a:latest", "localhost:7439/a", "localhost:7439/a:latest"), []string{"docker.io/library/a:latest"}},
		"Only what was rewritten":                    {rewriting, using("a", "ghcr.io/b:1", "localhost:5000/c", "localhost:7439/d"), []string{"docker.io/library/d:latest"}},
		"All in mirror mode":                         {mirroring, using("a", "ghcr.io/b:1", "localhost:7439/c"), []string{"docker.io/library/a:latest", "docker.io/library/c:latest", "ghcr.io/b:1"}},
		"No registry on the node itself":             {mirroring, using("localhost:5000/a", "127.0.0.1:5000/a", "[::1]:5000/a", "reg.localhost/a", "localhost.example/a"), []string{"localhost.example/a:latest"}},
		"A registry on the node, asked for by name":  {mirroring, using("localhost:7439/127.0.0.1_5000/a:1"), []string{"127.0.0.1:5000/a:1"}},
		"Nothing of what does not parse":             {mirroring, using("", "A", "a:", "localhost:7439/", "a@sha256:0", "localhost:7439/docker.io"), nil},
		"What the proxy would not find is no origin": {mirroring, using("localhost:7439/_"), nil},
		"Nothing that is never pulled": {mirroring, &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Image: "built-on-the-node", ImagePullPolicy: corev1.PullNever}, {Image: "b:1", ImagePullPolicy: corev1.PullAlways},
		}}}, []string{"docker.io/library/b:1"}},
		"A tag whose digest the webhook wrote is that tag": {rewriting,
			noting(using("localhost:7439/docker.io/library/a:1@sha256:"+zeros, "localhost:7439/docker.io/library/a:1"), `{"c":"a:1"}`), []string{"docker.io/library/a:1"}},
		"A digest that its owner wrote is that digest": {rewriting,
			noting(using("localhost:7439/docker.io/library/a:1@sha256:"+zeros, "localhost:7439/docker.io/library/a:1"), `{"c":"a:1@sha256:`+zeros+`","d":"a:1"}`),
			[]string{"docker.io/library/a:1", "docker.io/library/a:1@sha256:" + zeros}},
		"Notes that nobody can read": {rewriting,
			noting(using("localhost:7439/docker.io/library/a:1@sha256:"+zeros), `a:1`), []string{"docker.io/library/a:1@sha256:" + zeros}},
		"Without a proxy": {usage.Scope{All: true}, using("a"), []string{"docker.io/library/a:latest"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, forms(tt.scope.Pod(tt.pod))); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			if _, err := usage.Slim(tt.pod); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, forms(tt.scope.Pod(tt.pod))); diff != "" {
				t.Errorf("images of the slim pod (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScope_RunningHasTheDigestsThatTheWebhookWrote(t *testing.T) {
	t.Parallel()
	pod := noting(using("localhost:7439/docker.io/library/a:1@sha256:"+zeros), `{"c":"a:1"}`)
	if diff := cmp.Diff([]string{"docker.io/library/a:1@sha256:" + zeros}, forms(rewriting.Running(pod))); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

func TestScope_TemplateCountsBothNames(t *testing.T) {
	t.Parallel()
	spec := using("nginx:1.27", "localhost:7439/docker.io/library/nginx:1.28", "localhost:5000/a:1", "A:").Spec
	want := []string{"docker.io/library/nginx:1.27", "docker.io/library/nginx:1.28", "localhost:5000/a:1"}
	if diff := cmp.Diff(want, forms(rewriting.Template(&spec))); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestActive(t *testing.T) {
	t.Parallel()
	for phase, want := range map[corev1.PodPhase]bool{
		"": true, corev1.PodPending: true, corev1.PodRunning: true, corev1.PodUnknown: true, corev1.PodSucceeded: false, corev1.PodFailed: false,
	} {
		if got := usage.Active(&corev1.Pod{Status: corev1.PodStatus{Phase: phase}}); got != want {
			t.Errorf("Active of phase %q = %v, want %v", phase, got, want)
		}
	}
}
