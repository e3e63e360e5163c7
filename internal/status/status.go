// Package status writes the status of Larder's objects: each process its own fields, by server-side apply under its own name, and
// nothing where nothing changed. It decides nothing about what the fields say.
package status

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
)

// The field managers, one a process.
const (
	Controller client.FieldOwner = "larder-controller" // usedBy and the condition InUse of a CachedImage; all of a Repository
	Registry   client.FieldOwner = "larder-registry"   // the rest of a CachedImage
)

// timestamps is how often a mere timestamp is written.
const timestamps = 10 * time.Minute

// ApplyImage makes the owner's part of a CachedImage's status what desired says; what desired leaves out is removed. Where the object
// says so already, nothing is written. A change of lastSync and lastSeenUpstream alone waits until what is written is ten minutes old:
// then wait says how long that is still.
func ApplyImage(ctx context.Context, c client.Client, owner client.FieldOwner, current *v1alpha1.CachedImage, desired v1alpha1.CachedImageStatus) (wait time.Duration, err error) {
	part := partOf(owner, current.Status)
	if equality.Semantic.DeepEqual(part, desired) {
		return 0, nil
	}
	if written := part.LastSync; written != nil && desired.LastSync != nil {
		part.LastSync, part.LastSeenUpstream = desired.LastSync, desired.LastSeenUpstream
		age := desired.LastSync.Sub(written.Time)
		if age >= 0 && age < timestamps && equality.Semantic.DeepEqual(part, desired) {
			return timestamps - age, nil
		}
	}
	return 0, apply(ctx, c, owner, "CachedImage", current, &desired)
}

// ApplyRepository makes a Repository's status what desired says, unless it is that already.
func ApplyRepository(ctx context.Context, c client.Client, current *v1alpha1.Repository, desired v1alpha1.RepositoryStatus) error {
	if equality.Semantic.DeepEqual(current.Status, desired) {
		return nil
	}
	return apply(ctx, c, Controller, "Repository", current, &desired)
}

// partOf returns what is the owner's of a CachedImage's status.
func partOf(owner client.FieldOwner, s v1alpha1.CachedImageStatus) v1alpha1.CachedImageStatus {
	mine := func(condition metav1.Condition) bool {
		return (condition.Type == v1alpha1.ConditionInUse) == (owner == Controller)
	}
	var conditions []metav1.Condition
	for _, condition := range s.Conditions {
		if mine(condition) {
			conditions = append(conditions, condition)
		}
	}
	if owner == Controller {
		return v1alpha1.CachedImageStatus{UsedBy: s.UsedBy, Conditions: conditions}
	}
	s.UsedBy, s.Conditions = nil, conditions
	return s
}

func apply(ctx context.Context, c client.Client, owner client.FieldOwner, kind string, current client.Object, desired any) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
	if err != nil {
		return fmt.Errorf("encoding the status of %s %s: %w", kind, current.GetName(), err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"status": content}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetName(current.GetName())
	object.SetUID(current.GetUID()) // not one that was made anew under the name
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
