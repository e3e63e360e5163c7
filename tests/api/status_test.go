package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
)

// created creates an object and deletes it when the test ends.
func created[T client.Object](t *testing.T, object T) T {
	t.Helper()
	if err := cluster.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(cluster.Delete(context.Background(), object)); err != nil {
			t.Errorf("deleting %s: %v", object.GetName(), err)
		}
	})
	return object
}

func deleted(t *testing.T, kind, name string) {
	t.Helper()
	object := client.Object(&v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if kind == "CachedImage" {
		object = &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	if err := client.IgnoreNotFound(cluster.Delete(context.Background(), object)); err != nil {
		t.Errorf("deleting %s: %v", name, err)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]string{
		"fields-left-out": `{name: a}`,
		"fields-of-null":  `{name: a, updateMode: null, access: null, updateInterval: null, updateFilters: null, platforms: null}`,
	} {
		applied(t, "Repository", name, spec)
		var got v1alpha1.Repository
		if err := cluster.Get(t.Context(), client.ObjectKey{Name: name}, &got); err != nil {
			t.Fatal(err)
		}
		want := v1alpha1.RepositorySpec{Name: "a", UpdateMode: v1alpha1.UpdateOnPull, Access: v1alpha1.AccessGranted}
		if diff := cmp.Diff(want, got.Spec); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	applied(t, "CachedImage", "fields-left-out", `{sourceImage: a, expiresAt: null}`)
	var got v1alpha1.CachedImage
	if err := cluster.Get(t.Context(), client.ObjectKey{Name: "fields-left-out"}, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1alpha1.CachedImageSpec{SourceImage: "a"}, got.Spec); diff != "" {
		t.Errorf("CachedImage (-want +got):\n%s", diff)
	}
}

func TestStatus_IsWrittenApartFromTheSpec(t *testing.T) {
	t.Parallel()
	image := created(t, imageNamed("apart", "postgres:15"))
	generation := image.Generation
	image.Spec.Retain = true
	image.Status.Phase = v1alpha1.CachedImageReady
	if err := cluster.Status().Update(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	if image.Spec.Retain || image.Status.Phase != v1alpha1.CachedImageReady || image.Generation != generation {
		t.Errorf("after a write of the status: got %+v, generation %d, want its status alone written", image, image.Generation)
	}
	image.Spec.Retain = true
	image.Status.Phase = v1alpha1.CachedImageFailed
	if err := cluster.Update(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	if !image.Spec.Retain || image.Status.Phase != v1alpha1.CachedImageReady || image.Generation != generation+1 {
		t.Errorf("after a write of the spec: got %+v, generation %d, want its spec alone written", image, image.Generation)
	}
}

func TestStatus_IsJudgedToo(t *testing.T) {
	t.Parallel()
	image := created(t, imageNamed("judged-status", "postgres:15"))
	for name, change := range map[string]func(*v1alpha1.CachedImageStatus){
		"A phase that is none": func(s *v1alpha1.CachedImageStatus) { s.Phase = "Cached" },
		"More than 20 pods": func(s *v1alpha1.CachedImageStatus) {
			s.UsedBy = &v1alpha1.UsedBy{Count: 21}
			for i := range 21 {
				s.UsedBy.Pods = append(s.UsedBy.Pods, v1alpha1.PodReference{NamespacedName: "a/" + strings.Repeat("b", i+1)})
			}
		},
		"A pod twice": func(s *v1alpha1.CachedImageStatus) {
			s.UsedBy = &v1alpha1.UsedBy{Count: 2, Pods: []v1alpha1.PodReference{{NamespacedName: "a/b"}, {NamespacedName: "a/b"}}}
		},
		"Less than no pods": func(s *v1alpha1.CachedImageStatus) { s.UsedBy = &v1alpha1.UsedBy{Count: -1} },
	} {
		bad := image.DeepCopy()
		change(&bad.Status)
		if err := cluster.Status().Update(t.Context(), bad); !apierrors.IsInvalid(err) {
			t.Errorf("%s: got %v, want it invalid", name, err)
		}
	}
	repository := created(t, &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: "judged-status"}, Spec: v1alpha1.RepositorySpec{Name: "a"}})
	repository.Status.Phase = "Fine"
	if err := cluster.Status().Update(t.Context(), repository); !apierrors.IsInvalid(err) {
		t.Errorf("a Repository's phase that is none: got %v, want it invalid", err)
	}
}

func TestConditions_HaveAnOwnerEach(t *testing.T) {
	t.Parallel()
	created(t, imageNamed("owned", "postgres:15"))
	now := time.Now().UTC().Format(time.RFC3339)
	condition := func(kind, reason string) string {
		return `{type: ` + kind + `, status: "True", reason: ` + reason + `, message: "", lastTransitionTime: "` + now + `"}`
	}
	head := "apiVersion: larder.dev/v1alpha1\nkind: CachedImage\nmetadata: {name: owned}\n"
	for _, args := range [][2]string{
		{"larder-registry", "status: {phase: Ready, conditions: [" + condition("Ready", "Mirrored") + "]}"},
		{"larder-controller", "status: {usedBy: {count: 1}, conditions: [" + condition("InUse", "Pods") + "]}"},
		{"larder-registry", "status: {isCached: true, conditions: [" + condition("UpToDate", "Current") + "]}"}, // no phase, no Ready any more
	} {
		if out, err := apply(t, head+args[1], "--server-side", "--subresource=status", "--field-manager="+args[0]); err != nil {
			t.Fatal(out)
		}
	}
	got := kubectl(t, "get", "ci", "owned", "-o", "jsonpath={.status.phase}|{.status.isCached}|{.status.usedBy.count}|{.status.conditions[*].type}")
	if got != "|true|1|InUse UpToDate" {
		t.Errorf("got %q, want what each owner applied last", got)
	}
}

func imageNamed(name, source string) *v1alpha1.CachedImage {
	return &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CachedImageSpec{SourceImage: source}}
}
