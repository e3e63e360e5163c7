package rollout

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Owner is the revision of a workload that a pod belongs to, as far as the pod tells.
type Owner struct {
	Kind schema.GroupVersionKind // ReplicaSet, ControllerRevision or Job
	Name string                  // in the pod's namespace
	UID  types.UID               // of the pod's controller: the object itself or, of a ControllerRevision, what controls it too
}

// Key tells owners apart, those of one controller too.
func (o Owner) Key() string { return string(o.UID) + "/" + o.Name }

// Is says whether an object is the owner: another one may have its name by now.
func (o Owner) Is(object metav1.Object) bool {
	if o.Kind.Kind != controllerRevision {
		return object.GetUID() == o.UID
	}
	controller := metav1.GetControllerOfNoCopy(object)
	return controller != nil && controller.UID == o.UID
}

const controllerRevision = "ControllerRevision"

// OwnerOf returns the revision that a pod belongs to; false where it has no controller, or one whose revisions nobody knows: it goes by
// its own age then.
func OwnerOf(pod *corev1.Pod) (Owner, bool) {
	controller := metav1.GetControllerOfNoCopy(pod)
	if controller == nil {
		return Owner{}, false
	}
	hash := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	revision := Owner{Kind: appsv1.SchemeGroupVersion.WithKind(controllerRevision), UID: controller.UID}
	switch apps := appsv1.SchemeGroupVersion.String(); {
	case controller.APIVersion == apps && controller.Kind == "ReplicaSet":
		return Owner{appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), controller.Name, controller.UID}, true
	case controller.APIVersion == apps && controller.Kind == "StatefulSet" && hash != "":
		revision.Name = hash // the label of its pods has the whole name
		return revision, true
	case controller.APIVersion == apps && controller.Kind == "DaemonSet" && hash != "":
		revision.Name = controller.Name + "-" + hash
		return revision, true
	case controller.APIVersion == batchv1.SchemeGroupVersion.String() && controller.Kind == "Job":
		return Owner{batchv1.SchemeGroupVersion.WithKind("Job"), controller.Name, controller.UID}, true
	}
	return Owner{}, false
}
