package usage_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/rollout"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/kube"
)

// TestResolved_IsWhatOtherPodsOfTheRevisionRun asks the cache of a process, against a real API server.
func TestResolved_IsWhatOtherPodsOfTheRevisionRun(t *testing.T) {
	t.Parallel()
	cluster := kube.New(t)
	indexed := newCache(t, cluster)
	one, two := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("2", 64)
	create := func(name, hash, image, originals string) *corev1.Pod {
		t.Helper()
		pod := noting(owned(name, hash), originals)
		pod.Spec.Containers = []corev1.Container{{Name: "a", Image: "localhost:7439/docker.io/library/" + image}}
		if err := cluster.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		return pod
	}
	resolved := func(pod *corev1.Pod, image string) func() ([]string, error) {
		owner, _ := rollout.OwnerOf(pod)
		return func() ([]string, error) {
			digest, err := usage.Resolved(t.Context(), indexed, rewriting, owner, ref(t, image))
			return []string{digest.String()}, err
		}
	}
	first := create("first", "a", "nginx:1@"+one, `{"a":"nginx:1"}`)
	second := create("second", "b", "nginx:1@"+two, `{"a":"nginx:1"}`)
	until(t, []string{one}, resolved(first, "nginx:1"))
	until(t, []string{two}, resolved(second, "nginx:1")) // another revision of the same workload
	until(t, []string{""}, resolved(first, "nginx:2"))
	create("theirs", "c", "nginx:1@"+one, `{"a":"nginx:1@`+one+`"}`)
	create("tag", "c", "nginx:1", `{"a":"nginx:1"}`)
	until(t, []string{"theirs"}, func() ([]string, error) { return names(usage.PodsUsing(t.Context(), indexed, ref(t, "nginx:1@"+one))) })
	until(t, []string{"first", "second", "tag"}, func() ([]string, error) { return names(usage.PodsUsing(t.Context(), indexed, ref(t, "nginx:1"))) })
	until(t, []string{""}, resolved(owned("", "c"), "nginx:1"))

	if err := cluster.Delete(t.Context(), first, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	until(t, []string{""}, resolved(first, "nginx:1"))
}

// owned is a pod of a DaemonSet's revision.
func owned(name, hash string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: named(name)}
	pod.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: hash, "app": "shop"}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "shop", UID: types.UID("1"), Controller: new(true)}}
	return pod
}
