package kube_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/tests/kube"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	c := kube.New(t)
	out, err := c.Kubectl(t, "api-resources", "--api-group", "larder.dev", "--output", "name")
	if err != nil || out != "cachedimages.larder.dev\nrepositories.larder.dev\n" {
		t.Errorf("kubectl says %q (%v)", out, err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
	}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Errorf("creating a pod: %v", err)
	}
	_, config := c.User(t, "nobody")
	nobody, err := client.New(config, client.Options{Scheme: kube.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	get := func() error { return nobody.Get(t.Context(), client.ObjectKeyFromObject(pod), pod) }
	if err := get(); !apierrors.IsForbidden(err) {
		t.Errorf("a user without rights: got %v, want it forbidden", err)
	}
	restore := c.Outage(t)
	if err := get(); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("in an outage: got %v, want the connection refused", err)
	}
	restore()
	if err := get(); !apierrors.IsForbidden(err) {
		t.Errorf("after the outage: got %v, want it forbidden", err)
	}
}
