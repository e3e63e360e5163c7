package cachedimage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/internal/usage"
)

// listed is how many pods a status names.
const listed = 20

// users are who uses an image, each in order.
type users struct {
	pods      []string // namespace/name
	workloads []string // kind namespace/name
}

func (u users) any() bool { return len(u.pods)+len(u.workloads) > 0 }

// users asks the cache who uses an image.
func (o Options) users(ctx context.Context, ref imageref.Reference) (users, error) {
	pods, err := usage.PodsUsing(ctx, o.Client, ref)
	if err != nil {
		return users{}, err
	}
	u := users{pods: make([]string, 0, len(pods))}
	for i := range pods {
		u.pods = append(u.pods, pods[i].Namespace+"/"+pods[i].Name)
	}
	slices.Sort(u.pods)
	if o.Workloads {
		u.workloads, err = usage.WorkloadsUsing(ctx, o.Client, ref)
	}
	return u, err
}

// status is the controller's part of an image's status.
func (u users) status(image *v1alpha1.CachedImage, now time.Time) v1alpha1.CachedImageStatus {
	desired := v1alpha1.CachedImageStatus{UsedBy: u.usedBy(image.Status.UsedBy)}
	status.Set(&desired.Conditions, image.Status.Conditions, now, u.condition(image))
	return desired
}

// usedBy counts the pods and names some: first those that were named before, so that a status that is read does not flicker.
func (u users) usedBy(current *v1alpha1.UsedBy) *v1alpha1.UsedBy {
	var names []string
	if current != nil {
		for _, pod := range current.Pods {
			if _, still := slices.BinarySearch(u.pods, pod.NamespacedName); still {
				names = append(names, pod.NamespacedName)
			}
		}
	}
	for _, pod := range u.pods {
		if len(names) >= listed {
			break
		}
		if !slices.Contains(names, pod) {
			names = append(names, pod)
		}
	}
	slices.Sort(names)
	used := &v1alpha1.UsedBy{Count: int32(len(u.pods))}
	for _, name := range names {
		used.Pods = append(used.Pods, v1alpha1.PodReference{NamespacedName: name})
	}
	return used
}

// condition says whether an image is in use, or why it is kept, or that it expires.
func (u users) condition(image *v1alpha1.CachedImage) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionInUse, Status: metav1.ConditionTrue}
	switch {
	case len(u.pods) == 1:
		c.Reason, c.Message = v1alpha1.ReasonPods, "1 pod uses it"
	case len(u.pods) > 0:
		c.Reason, c.Message = v1alpha1.ReasonPods, fmt.Sprintf("%d pods use it", len(u.pods))
	case len(u.workloads) == 1:
		c.Reason, c.Message = v1alpha1.ReasonWorkloads, "kept by "+u.workloads[0]
	case len(u.workloads) > 0:
		c.Reason, c.Message = v1alpha1.ReasonWorkloads, fmt.Sprintf("kept by %s and %d more", u.workloads[0], len(u.workloads)-1)
	case image.Spec.Retain:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonRetained, "nothing uses it, but spec.retain keeps it"
	case image.Spec.PinnedDigest != "":
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonRetained, "nothing uses it, but spec.pinnedDigest keeps it"
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonUnused, "nothing uses it"
	}
	return c
}

// says tells whether an image's status says what is desired.
func says(image *v1alpha1.CachedImage, desired v1alpha1.CachedImageStatus) bool {
	current := meta.FindStatusCondition(image.Status.Conditions, v1alpha1.ConditionInUse)
	return equality.Semantic.DeepEqual(image.Status.UsedBy, desired.UsedBy) &&
		equality.Semantic.DeepEqual(cmp.Or(current, &metav1.Condition{}), &desired.Conditions[0])
}
