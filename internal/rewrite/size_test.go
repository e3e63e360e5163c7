package rewrite

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
)

// crowd is a pod of n containers.
func crowd(n int, image string) *corev1.Pod {
	var pod corev1.Pod
	for i := range n {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: fmt.Sprintf("%s-%d", image, i)})
	}
	return &pod
}

func TestDecide_ManyContainers(t *testing.T) {
	t.Parallel()
	d, result := decide(t, rulesOf(t, Config{}), Request{Pod: crowd(200, "reg.example:5000/team/app:v1")})
	if len(d.Patches) != 201 || len(notedOriginals(result)) != 200 {
		t.Errorf("%d patches, %d originals", len(d.Patches), len(notedOriginals(result)))
	}
	if got := result.Spec.Containers[199].Image; got != "localhost:7439/reg.example_5000/team/app:v1-199" {
		t.Errorf("the last image is %s", got)
	}
}

// The API server refuses a pod whose annotations are larger than 256 KiB together.
func TestDecide_AnnotationsStayWithinTheirLimit(t *testing.T) {
	t.Parallel()
	rules := rulesOf(t, Config{})
	pod := crowd(3, "nginx:1")
	pod.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
	for room, noted := range map[int]bool{0: false, 10: false, 100: false, 1000: true, 10_000: true} {
		filled := pod.DeepCopy()
		filled.Annotations = map[string]string{"a": strings.Repeat("x", validation.TotalAnnotationSizeLimitB-len("a")-room)}
		_, result := decide(t, rules, Request{Pod: filled})
		if err := validation.ValidateAnnotationsSize(result.Annotations); err != nil {
			t.Errorf("room for %d bytes: %v", room, err)
		}
		_, originals := result.Annotations[AnnotationOriginals]
		_, reasons := result.Annotations[AnnotationNotRewritten]
		if originals != noted || reasons != noted {
			t.Errorf("room for %d bytes: originals noted: %t, reasons: %t, want both %t", room, originals, reasons, noted)
		}
		if got := result.Spec.Containers[1].Image; got != "localhost:7439/docker.io/library/nginx:1-1" {
			t.Errorf("room for %d bytes: the image is %s", room, got)
		}
	}
}

func TestDecide_LeavesPodsAloneThatEtcdMayRefuse(t *testing.T) {
	t.Parallel()
	pod := crowd(2, "nginx:1")
	pod.Spec.Containers[0].Args = []string{strings.Repeat("x", maxPod)}
	if d, _ := decide(t, rulesOf(t, Config{}), Request{Pod: pod}); d.Pod != TooLarge || len(d.Patches) > 0 {
		t.Errorf("decided %q with %d patches, want %s and none", d.Pod, len(d.Patches), TooLarge)
	}
}

func BenchmarkDecide(b *testing.B) {
	rules, _ := NewRules(proxy, "larder", Config{IgnoredImages: []string{"^quay\\.io/", ":dev$"}})
	for _, n := range []int{1, 5, 200} {
		b.Run(fmt.Sprintf("%d containers", n), func(b *testing.B) {
			b.ReportAllocs()
			pod := crowd(n, "reg.example:5000/team/app:v1")
			for b.Loop() {
				rules.Decide(Request{Pod: pod, Namespace: "default"})
			}
		})
	}
}
