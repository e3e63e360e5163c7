package cachedimage

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
)

func TestUsers_Condition(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		users  users
		retain bool
		want   metav1.Condition
	}{
		"One pod":            {users{pods: []string{"a/a"}}, false, metav1.Condition{Status: "True", Reason: "Pods", Message: "1 pod uses it"}},
		"Pods and workloads": {users{pods: []string{"a/a", "a/b"}, workloads: []string{"Job a/a"}}, false, metav1.Condition{Status: "True", Reason: "Pods", Message: "2 pods use it"}},
		"One workload":       {users{workloads: []string{"CronJob shop/nightly"}}, true, metav1.Condition{Status: "True", Reason: "Workloads", Message: "kept by CronJob shop/nightly"}},
		"Workloads":          {users{workloads: []string{"CronJob shop/nightly", "Job a/a", "Job a/b"}}, false, metav1.Condition{Status: "True", Reason: "Workloads", Message: "kept by CronJob shop/nightly and 2 more"}},
		"Retained":           {users{}, true, metav1.Condition{Status: "False", Reason: "Retained", Message: "nothing uses it, but spec.retain keeps it"}},
		"Unused":             {users{}, false, metav1.Condition{Status: "False", Reason: "Unused", Message: "nothing uses it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.Type = v1alpha1.ConditionInUse
			got := test.users.condition(&v1alpha1.CachedImage{Spec: v1alpha1.CachedImageSpec{Retain: test.retain}})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUsers_NamedPodsStayNamed(t *testing.T) {
	t.Parallel()
	names := func(from, to int) (names []string) {
		for i := from; i < to; i++ {
			names = append(names, fmt.Sprintf("shop/web-%03d", i))
		}
		return names
	}
	listing := func(names []string) (pods []v1alpha1.PodReference) {
		for _, name := range names {
			pods = append(pods, v1alpha1.PodReference{NamespacedName: name})
		}
		return pods
	}
	first := users{pods: names(100, 150)}.usedBy(nil)
	want := &v1alpha1.UsedBy{Count: 50, Pods: listing(names(100, 120))}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	second := users{pods: append(names(0, 100), names(105, 150)...)}.usedBy(first)
	want = &v1alpha1.UsedBy{Count: 145, Pods: listing(append(names(0, 5), names(105, 120)...))}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Errorf("after five went and a hundred came (-want +got):\n%s", diff)
	}
}
