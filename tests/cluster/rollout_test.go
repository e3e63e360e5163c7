package cluster

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/process"
)

// TestRollout_UnderItsRoles moves a tag under a Deployment, of which the test makes the ReplicaSets and pods: the pods of the first keep
// their digest, the controller restarts it when the new one has settled, and the pods of the second get that.
func TestRollout_UnderItsRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.newHook(t, "--leader-elect=false", "--triggers")
	l.Start(t)
	w.configure(t, hookAddress(t, l), nil)
	process.Eventually(t, "it to be ready", func() bool { ok, _ := ready(t, l); return ok })
	w.awaitRewritten(t)

	one, two := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("2", 64)
	create(t, w, repository("shop", v1alpha1.RepositorySpec{Name: "shop", ResolveDigests: true, OnUpdate: v1alpha1.OnUpdateRestart}))
	image := &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Spec: v1alpha1.CachedImageSpec{SourceImage: "shop:1"}}
	create(t, w, image)
	now := time.Now()
	image.Status = v1alpha1.CachedImageStatus{
		Phase: v1alpha1.CachedImageReady, Digest: two, History: []v1alpha1.Revision{since(two, now.Add(-50*time.Second)), since(one, now.Add(-time.Hour))},
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonMirrored, LastTransitionTime: metav1.NewTime(now)},
		},
	}
	told := image.Status
	process.Eventually(t, "the status to be written", func() bool { // the controller writes too
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(image), image); err != nil {
			t.Fatal(err)
		}
		image.Status = told
		return w.Status().Update(t.Context(), image) == nil
	})
	labels := map[string]string{"app": "shop"}
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "shop:1"}}},
		},
	}}
	create(t, w, web)
	behind := proxy + "/docker.io/library/shop:1@"
	first := w.replicaSet(t, web, "1")
	process.Eventually(t, "the webhook to know the image", func() bool { return w.podOf(t, first, client.DryRunAll) == behind+one })
	w.podOf(t, first)
	process.Eventually(t, "the digest of the ReplicaSet to be kept", func() bool {
		return w.image(t, "shop:1").Annotations[v1alpha1.AnnotationKeptDigests] == one
	})
	process.Eventually(t, "the restart", func() bool {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(web), web); err != nil {
			t.Fatal(err)
		}
		return web.Spec.Template.Annotations[v1alpha1.AnnotationRestartedFor] == two
	})
	if since := time.Since(now.Add(-50 * time.Second)); since < time.Minute {
		t.Errorf("it was restarted %s after the tag moved, want the new revision to have settled", since)
	}
	if got := w.podOf(t, first); got != behind+one {
		t.Errorf("another pod of the first ReplicaSet has %s, want %s", got, behind+one)
	}
	second := w.replicaSet(t, web, "2")
	if got := w.podOf(t, second); got != behind+two {
		t.Errorf("a pod of the second ReplicaSet has %s, want %s", got, behind+two)
	}
	process.Eventually(t, "both digests to be kept", func() bool {
		return w.image(t, "shop:1").Annotations[v1alpha1.AnnotationKeptDigests] == one+","+two
	})
	process.Eventually(t, "the event", func() bool {
		out, err := w.Kubectl(t, "get", "events", "--field-selector", "involvedObject.name=web,reason=Restarted", "--output", "name")
		return err == nil && strings.Count(out, "event/") == 1
	})
	process.Eventually(t, "the tag to have all pods", func() bool {
		used := w.image(t, "shop:1").Status.UsedBy
		return used != nil && used.Count == 3
	})
	if w.image(t, "shop:1@"+one) != nil {
		t.Error("a digest has an object of its own")
	}
	if _, metrics := l.GetHealth(t, "/metrics"); !strings.Contains(string(metrics), `larder_workload_restarts_total{kind="Deployment"} 1`) {
		t.Error("the restart is not counted, or not once")
	}
}

// What was kept for workloads is not kept for ever where somebody switches that off.
func TestRollout_WhatIsNotToBeKeptAnyMoreIsReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := &v1alpha1.CachedImage{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Annotations: map[string]string{v1alpha1.AnnotationKeptDigests: "sha256:" + strings.Repeat("1", 64)}},
		Spec:       v1alpha1.CachedImageSpec{SourceImage: "shop:1", Retain: true},
	}
	create(t, w, image)
	w.newController(t, "--keep-workload-images=false").Start(t)
	process.Eventually(t, "the digest to be released", func() bool {
		_, kept := w.image(t, "shop:1").Annotations[v1alpha1.AnnotationKeptDigests]
		return !kept
	})
}

func since(digest string, at time.Time) v1alpha1.Revision {
	return v1alpha1.Revision{Digest: digest, FirstSeen: metav1.NewTime(at), LastSeen: metav1.NewTime(at), CompleteAt: new(metav1.NewTime(at))}
}

// replicaSet makes the ReplicaSet of a Deployment as it is now.
func (w *world) replicaSet(t *testing.T, d *appsv1.Deployment, number string) *appsv1.ReplicaSet {
	t.Helper()
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: d.Name + "-" + number, Labels: d.Spec.Template.Labels,
			Annotations:     map[string]string{"deployment.kubernetes.io/revision": number},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template},
	}
	create(t, w, set)
	return set
}

// podOf makes a pod of a ReplicaSet, and returns what its image became.
func (w *world) podOf(t *testing.T, set *appsv1.ReplicaSet, options ...client.CreateOption) string {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: set.Namespace, GenerateName: set.Name + "-", Labels: set.Spec.Template.Labels,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
	}, Spec: set.Spec.Template.Spec}
	if err := w.Create(t.Context(), pod, options...); err != nil {
		t.Fatal(err)
	}
	return pod.Spec.Containers[0].Image
}
