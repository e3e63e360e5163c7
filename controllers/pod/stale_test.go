package pod_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/controllers/pod"
	"github.com/larder-dev/larder/internal/imageref"
)

// lagging is a client whose cache has heard of no object, and of one pod that uses every image.
type lagging struct {
	client.Client
	created int
}

func (l *lagging) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if pods, ok := list.(*corev1.PodList); ok {
		pods.Items = make([]corev1.Pod, 1)
	}
	return nil
}

func (l *lagging) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	err := l.Client.Create(ctx, object, options...)
	if err == nil {
		l.created++
	}
	return err
}

func TestPod_StaleCacheMakesNothingTwice(t *testing.T) {
	behind := &lagging{Client: cluster.Client}
	r := pod.New(behind, scope)
	ref := parse(t, "stale/a:1")
	for range 3 {
		result, err := r.Reconcile(t.Context(), ref)
		if err != nil || result.RequeueAfter > 0 {
			t.Fatalf("Reconcile = %v, %v", result, err)
		}
	}
	if hasOne(t, "stale/a:1"); behind.created != 2 {
		t.Errorf("created %d objects, want one CachedImage and one Repository", behind.created)
	}
}

func TestPod_DeletionThatTheCacheDoesNotKnowIsWaitedFor(t *testing.T) {
	r := pod.New(&lagging{Client: cluster.Client}, scope)
	ref := parse(t, "going/a:1")
	_, err := r.Reconcile(t.Context(), ref)
	must(t, err)
	image, _ := hasOne(t, "going/a:1")
	must(t, cluster.Delete(t.Context(), &image)) // held by its finalizer
	result, err := r.Reconcile(t.Context(), ref)
	if err != nil || result.RequeueAfter == 0 {
		t.Fatalf("Reconcile = %v, %v, want it to come again", result, err)
	}
	must(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(&image), &image))
	image.Finalizers = nil
	must(t, cluster.Update(t.Context(), &image))
	_, err = r.Reconcile(t.Context(), ref)
	must(t, err)
	if again, _ := hasOne(t, "going/a:1"); again.UID == image.UID {
		t.Error("the image is still the one that was deleted")
	}
}

func TestPod_TakenNamesArePassedBy(t *testing.T) {
	r := pod.New(&lagging{Client: cluster.Client}, scope)
	ref := parse(t, "taken/a:1")
	must(t, cluster.Create(t.Context(), &v1alpha1.CachedImage{
		ObjectMeta: metav1.ObjectMeta{Name: ref.ObjectName(0)}, Spec: v1alpha1.CachedImageSpec{SourceImage: "taken/other:1"},
	}))
	must(t, cluster.Create(t.Context(), &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Name: ref.Repository.ObjectName(0)}, Spec: v1alpha1.RepositorySpec{Name: "taken/other"},
	}))
	for range 2 {
		_, err := r.Reconcile(t.Context(), ref)
		must(t, err)
	}
	if image, owner := hasOne(t, "taken/a:1"); image.Name != ref.ObjectName(1) || owner.Name != ref.Repository.ObjectName(1) {
		t.Errorf("the objects are %s and %s, want %s and %s", image.Name, owner.Name, ref.ObjectName(1), ref.Repository.ObjectName(1))
	}
}

func TestPod_WhatTheAPIServerRefusesIsNotTriedAgain(t *testing.T) {
	r := pod.New(&lagging{Client: cluster.Client}, scope)
	_, err := r.Reconcile(t.Context(), imageref.Reference{Repository: imageref.Repository{Host: "reg.example", Path: "NOT/VALID"}, Tag: "1"})
	if !errors.Is(err, reconcile.TerminalError(nil)) {
		t.Errorf("err = %v, want a terminal one", err)
	}
}

// Whatever Parse accepts, the API server does too.
func FuzzSpecsAreValid(f *testing.F) {
	for _, s := range []string{"nginx", "a/b:V1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "[fd00::1]:5000/a", "REG/a:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := imageref.Parse(s)
		if err != nil {
			return
		}
		image := v1alpha1.CachedImage{Spec: v1alpha1.CachedImageSpec{SourceImage: ref.Short()}}
		repository := v1alpha1.Repository{Spec: v1alpha1.RepositorySpec{Name: ref.Repository.String()}}
		if errs := append(image.Validate(), repository.Validate()...); len(errs) > 0 {
			t.Errorf("objects of %q: %v", s, errs)
		}
	})
}
