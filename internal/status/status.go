// Package status writes the status of Larder's objects: each process its own fields, by server-side apply under its own name, and
// nothing where nothing changed. It decides nothing about what the fields say.
package status

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
)

// The field managers: one a process, and of the controller one more for what is a toggle.
const (
	Controller client.FieldOwner = "larder-controller" // usedBy and the condition InUse of a CachedImage; a Repository but for access
	Registry   client.FieldOwner = "larder-registry"   // the rest of a CachedImage; access of a Repository
	Trigger    client.FieldOwner = "larder-trigger"    // the condition WouldNotPull of a CachedImage; the templates of workloads
)

// timestamps is how often a mere timestamp is written.
const timestamps = 10 * time.Minute

// ApplyImage makes the owner's part of a CachedImage's status what desired says; what desired leaves out is removed. Where the object
// says so already, nothing is written. A change of lastSync, lastSeenUpstream and when a revision was last seen alone waits until what is written is
// ten minutes old: then wait says how long that is still.
func ApplyImage(ctx context.Context, c client.Client, owner client.FieldOwner, current *v1alpha1.CachedImage, desired v1alpha1.CachedImageStatus, now time.Time) (wait time.Duration, err error) {
	written := partOf(owner, current.Status)
	wanted, err := normalise(desired)
	if err != nil {
		return 0, fmt.Errorf("encoding the status of CachedImage %s: %w", current.Name, err)
	}
	sortConditions(written.Conditions)
	sortConditions(wanted.Conditions)
	if equality.Semantic.DeepEqual(written, wanted) {
		return 0, nil
	}
	aside := written
	aside.LastSync, aside.LastSeenUpstream = wanted.LastSync, wanted.LastSeenUpstream
	aside.History = seenAs(written.History, wanted.History)
	if wait := until(written.LastSync, wanted.LastSync, now); wait > 0 && equality.Semantic.DeepEqual(aside, wanted) {
		return wait, nil
	}
	return 0, apply(ctx, c, owner, "CachedImage", current, &wanted)
}

// seenAs returns a history in which revisions were last seen when another one says.
func seenAs(history, other []v1alpha1.Revision) []v1alpha1.Revision {
	same := slices.Clone(history)
	for i := range same[:min(len(same), len(other))] {
		same[i].LastSeen = other[i].LastSeen
	}
	return same
}

// ApplyRepository makes a Repository's status what desired says, unless it is that already. A change of lastUpdate alone waits as
// ApplyImage's do.
func ApplyRepository(ctx context.Context, c client.Client, current *v1alpha1.Repository, desired v1alpha1.RepositoryStatus, now time.Time) (wait time.Duration, err error) {
	written := *current.Status.DeepCopy()
	written.Access = nil // the registry's
	wanted, err := normalise(desired)
	if err != nil {
		return 0, fmt.Errorf("encoding the status of Repository %s: %w", current.Name, err)
	}
	sortConditions(written.Conditions)
	sortConditions(wanted.Conditions)
	if equality.Semantic.DeepEqual(written, wanted) {
		return 0, nil
	}
	aside := written
	aside.LastUpdate = wanted.LastUpdate
	if wait := until(written.LastUpdate, wanted.LastUpdate, now); wait > 0 && equality.Semantic.DeepEqual(aside, wanted) {
		return wait, nil
	}
	return 0, apply(ctx, c, Controller, "Repository", current, &wanted)
}

// ApplyAccess makes status.access of a Repository what desired says, unless it is that already; nil removes it.
func ApplyAccess(ctx context.Context, c client.Client, current *v1alpha1.Repository, desired *v1alpha1.AccessStatus) error {
	if equality.Semantic.DeepEqual(current.Status.Access, desired) {
		return nil
	}
	return apply(ctx, c, Registry, "Repository", current, &v1alpha1.RepositoryStatus{Access: desired})
}

// until says how long a timestamp that was written stands still although a later one is known.
func until(written, wanted *metav1.Time, now time.Time) time.Duration {
	if written == nil || wanted == nil || wanted.Before(written) {
		return 0
	}
	return min(written.Add(timestamps).Sub(now), timestamps)
}

// normalise returns a status as the API server would give it back: times in whole seconds, nothing where something is empty.
func normalise[T any](status T) (T, error) {
	var back T
	text, err := json.Marshal(status)
	if err == nil {
		err = json.Unmarshal(text, &back)
	}
	return back, err
}

// sortConditions makes two lists comparable: which order one has at the API server depends on what was there before.
func sortConditions(conditions []metav1.Condition) {
	slices.SortFunc(conditions, func(a, b metav1.Condition) int { return cmp.Compare(a.Type, b.Type) })
}

// partOf returns what is the owner's of a CachedImage's status.
func partOf(owner client.FieldOwner, s v1alpha1.CachedImageStatus) v1alpha1.CachedImageStatus {
	var conditions []metav1.Condition
	for _, condition := range s.Conditions {
		if ownerOf(condition.Type) == owner {
			conditions = append(conditions, condition)
		}
	}
	switch owner {
	case Controller:
		return v1alpha1.CachedImageStatus{UsedBy: s.UsedBy, Conditions: conditions}
	case Trigger:
		return v1alpha1.CachedImageStatus{Conditions: conditions}
	}
	s.UsedBy, s.Conditions = nil, conditions
	return s
}

// ownerOf says who writes a condition of a CachedImage.
func ownerOf(condition string) client.FieldOwner {
	switch condition {
	case v1alpha1.ConditionInUse:
		return Controller
	case v1alpha1.ConditionWouldNotPull:
		return Trigger
	}
	return Registry
}

func apply(ctx context.Context, c client.Client, owner client.FieldOwner, kind string, current client.Object, desired any) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
	if err != nil {
		return fmt.Errorf("encoding the status of %s %s: %w", kind, current.GetName(), err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"status": content}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetName(current.GetName())
	err = c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(object), owner, client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("writing the status of %s %s: %w", kind, current.GetName(), err)
	}
	return nil
}

// Set puts a condition into a list that a reconcile builds anew: its lastTransitionTime is that in the current list where the status
// is the same there, else now (whole seconds, as the API server keeps).
func Set(conditions *[]metav1.Condition, current []metav1.Condition, now time.Time, condition metav1.Condition) {
	condition.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	for _, old := range current {
		if old.Type == condition.Type && old.Status == condition.Status {
			condition.LastTransitionTime = old.LastTransitionTime
		}
	}
	*conditions = append(*conditions, condition)
}
