package status_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/tests/kube"
)

// noon has more digits than the API server keeps.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 123456789, time.UTC)

func at(d time.Duration) *metav1.Time { return new(metav1.NewTime(noon.Add(d))) }

// site is one CachedImage on a real API server.
type site struct {
	*kube.Cluster
	image v1alpha1.CachedImage
}

// apply writes a part of the status, and says whether that made a new version of the object.
func (s *site) apply(t *testing.T, owner client.FieldOwner, desired v1alpha1.CachedImageStatus, now time.Time) (wrote bool, wait time.Duration) {
	t.Helper()
	wait, err := status.ApplyImage(t.Context(), s, owner, &s.image, desired, now)
	if err != nil {
		t.Fatal(err)
	}
	before := s.image.ResourceVersion
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(&s.image), &s.image); err != nil {
		t.Fatal(err)
	}
	return s.image.ResourceVersion != before, wait
}

func condition(kind string, value metav1.ConditionStatus) metav1.Condition {
	return metav1.Condition{Type: kind, Status: value, Reason: "Because", LastTransitionTime: metav1.NewTime(noon)}
}

func registryPart() v1alpha1.CachedImageStatus {
	return v1alpha1.CachedImageStatus{
		Phase: v1alpha1.CachedImageReady, IsCached: new(true), Size: new(resource.MustParse("1536Ki")), LastSync: at(0), LastSeenUpstream: at(0),
		LastSuccessfulPull: at(-time.Hour), ObservedGeneration: 1,
		History:    []v1alpha1.Revision{{Digest: "sha256:a", FirstSeen: *at(-time.Hour), LastSeen: *at(0), Cause: v1alpha1.RevisionPulled}},
		Conditions: []metav1.Condition{condition(v1alpha1.ConditionReady, metav1.ConditionTrue), condition(v1alpha1.ConditionUpToDate, metav1.ConditionTrue)},
	}
}

func controllerPart() v1alpha1.CachedImageStatus {
	return v1alpha1.CachedImageStatus{
		UsedBy:     &v1alpha1.UsedBy{Count: 2, Pods: []v1alpha1.PodReference{{NamespacedName: "shop/a"}, {NamespacedName: "shop/b"}}},
		Conditions: []metav1.Condition{condition(v1alpha1.ConditionInUse, metav1.ConditionTrue)},
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	cluster := kube.New(t)
	t.Run("To a CachedImage", func(t *testing.T) { applyImage(t, cluster) })
	t.Run("To a Repository", func(t *testing.T) { applyRepository(t, cluster) })
}

func applyImage(t *testing.T, cluster *kube.Cluster) {
	s := &site{Cluster: cluster, image: v1alpha1.CachedImage{
		ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha1.CachedImageSpec{SourceImage: "a"},
	}}
	if err := s.Create(t.Context(), &s.image); err != nil {
		t.Fatal(err)
	}
	step := func(what string, owner client.FieldOwner, desired v1alpha1.CachedImageStatus, now time.Time, wantWrite bool, wantWait time.Duration) {
		t.Helper()
		if wrote, wait := s.apply(t, owner, desired, now); wrote != wantWrite || wait != wantWait {
			t.Errorf("%s: wrote %v and waits %v, want %v and %v", what, wrote, wait, wantWrite, wantWait)
		}
	}
	step("What is new", status.Registry, registryPart(), noon, true, 0)
	step("What is there already", status.Registry, registryPart(), noon.Add(time.Hour), false, 0)
	step("The other's part", status.Controller, controllerPart(), noon, true, 0)
	step("The other's part again", status.Controller, controllerPart(), noon, false, 0)
	step("The first part beside it", status.Registry, registryPart(), noon, false, 0)
	refused := v1alpha1.CachedImageStatus{Conditions: []metav1.Condition{condition(v1alpha1.ConditionWouldNotPull, metav1.ConditionTrue)}}
	step("A toggle's part", status.Trigger, refused, noon, true, 0)
	step("The first part beside both", status.Registry, registryPart(), noon, false, 0)
	step("A toggle's part that goes", status.Trigger, v1alpha1.CachedImageStatus{}, noon, true, 0)
	both := registryPart()
	both.UsedBy, both.Conditions = controllerPart().UsedBy, append(both.Conditions, controllerPart().Conditions...)
	byType := cmpopts.SortSlices(func(a, b metav1.Condition) bool { return a.Type < b.Type })
	seconds := func(t metav1.Time) time.Time { return t.UTC().Truncate(time.Second) }
	whole := cmp.Options{byType, cmp.Transformer("deref", func(t *metav1.Time) []time.Time {
		if t == nil {
			return nil
		}
		return []time.Time{seconds(*t)}
	}), cmp.Transformer("seconds", seconds)}
	if diff := cmp.Diff(both, s.image.Status, whole); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}

	checked := registryPart()
	checked.LastSync, checked.LastSeenUpstream, checked.History[0].LastSeen = at(3*time.Minute), at(3*time.Minute), *at(3 * time.Minute)
	early, due := noon.Add(4*time.Minute), noon.Truncate(time.Second).Add(10*time.Minute)
	step("A mere timestamp", status.Registry, checked, early, false, due.Sub(early))
	step("A mere timestamp whose time has come", status.Registry, checked, due, true, 0)
	checked.LastSync, checked.Digest = at(4*time.Minute), "sha256:1"
	step("A timestamp with something else", status.Registry, checked, due, true, 0)
	checked.LastSync = nil
	step("A timestamp that goes", status.Registry, checked, due, true, 0)

	fewer := v1alpha1.CachedImageStatus{Conditions: []metav1.Condition{
		condition(v1alpha1.ConditionStalled, metav1.ConditionTrue), condition(v1alpha1.ConditionReady, metav1.ConditionFalse), condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue),
	}}
	step("Less than before, in another order", status.Registry, fewer, due, true, 0)
	step("The same", status.Registry, fewer, due, false, 0)
	fewer.UsedBy, fewer.Conditions = controllerPart().UsedBy, append(fewer.Conditions, controllerPart().Conditions...)
	if diff := cmp.Diff(fewer, s.image.Status, whole); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	step("Nobody uses it", status.Controller, v1alpha1.CachedImageStatus{UsedBy: &v1alpha1.UsedBy{}, Conditions: controllerPart().Conditions}, due, true, 0)
	if used := s.image.Status.UsedBy; used == nil || used.Count != 0 || len(used.Pods) > 0 {
		t.Errorf("usedBy = %+v, want none", used)
	}
	more := controllerPart()
	more.UsedBy.Pods = []v1alpha1.PodReference{{NamespacedName: "shop/0"}, {NamespacedName: "shop/b"}, {NamespacedName: "shop/c"}}
	step("Pods", status.Controller, controllerPart(), due, true, 0)
	step("Others, between them", status.Controller, more, due, true, 0)
	step("Those again", status.Controller, more, due, false, 0)

	if err := s.Delete(t.Context(), &s.image); err != nil {
		t.Fatal(err)
	}
	if _, err := status.ApplyImage(t.Context(), s, status.Controller, &s.image, controllerPart(), due); !apierrors.IsNotFound(err) {
		t.Errorf("of what is gone: %v, want that it is not found", err)
	}
}

func applyRepository(t *testing.T, cluster *kube.Cluster) {
	object := &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha1.RepositorySpec{Name: "a"}}
	if err := cluster.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	desired := v1alpha1.RepositoryStatus{
		Phase: v1alpha1.RepositoryReady, Images: ptr.To[int32](0), Conditions: []metav1.Condition{condition(v1alpha1.ConditionReady, metav1.ConditionTrue)},
	}
	step := func(what string, now time.Time, wantWrite bool, wantWait time.Duration) {
		t.Helper()
		before := object.ResourceVersion
		wait, err := status.ApplyRepository(t.Context(), cluster, object, desired, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Fatal(err)
		}
		if wrote := object.ResourceVersion != before; wrote != wantWrite || wait != wantWait {
			t.Errorf("%s: wrote %v and waits %v, want %v and %v", what, wrote, wait, wantWrite, wantWait)
		}
	}
	written := noon.Truncate(time.Second)
	step("What is new", noon, true, 0)
	desired.LastUpdate = at(0)
	step("The first update", noon, true, 0)
	step("The same", noon, false, 0)
	desired.LastUpdate = at(time.Minute)
	step("A later one", written.Add(2*time.Minute), false, 8*time.Minute)
	step("A later one by a clock that is behind", written.Add(-time.Hour), false, 10*time.Minute)
	desired.Images = ptr.To[int32](1)
	step("A later one of one more image", written.Add(2*time.Minute), true, 0)
	desired.LastUpdate = nil
	step("No update any more", noon, true, 0)
	if got := object.Status; got.Images == nil || *got.Images != 1 || got.LastUpdate != nil {
		t.Errorf("status = %+v", got)
	}
}

func TestSet_KeepsTheTransitionTime(t *testing.T) {
	t.Parallel()
	current := []metav1.Condition{condition(v1alpha1.ConditionReady, metav1.ConditionTrue)}
	later := noon.Add(time.Hour)
	for name, tt := range map[string]struct {
		value metav1.ConditionStatus
		kind  string
		want  time.Time
	}{
		"Where the status is the same": {metav1.ConditionTrue, v1alpha1.ConditionReady, noon},
		"Not where it changed":         {metav1.ConditionFalse, v1alpha1.ConditionReady, later.Truncate(time.Second)},
		"Not of another":               {metav1.ConditionTrue, v1alpha1.ConditionStalled, later.Truncate(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var conditions []metav1.Condition
			status.Set(&conditions, current, later, metav1.Condition{Type: tt.kind, Status: tt.value, Reason: "Another"})
			if len(conditions) != 1 || !conditions[0].LastTransitionTime.Time.Equal(tt.want) || conditions[0].Reason != "Another" {
				t.Errorf("conditions = %+v, want one of %v", conditions, tt.want)
			}
		})
	}
}
