package usage

import (
	"encoding/json"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
)

// Slim cuts an object down to what Larder reads before a cache keeps it: it is a cache's DefaultTransform. Of pods it leaves who and
// where they are, their images and pull secrets, and their phase, what digests they run, and where one has a digest what that was resolved for;
// of workloads the images of their templates, and what annotations say of rollouts; of nodes their names, labels, addresses and platforms; of
// all else everything but managedFields. What was slimmed must never be written back: a pod, a node
// or a workload is read from such a cache only.
func Slim(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.Pod:
		slimPod(o)
	case *corev1.Node:
		slimNode(o)
	case *batchv1.CronJob:
		o.ObjectMeta, o.Status = slimMeta(&o.ObjectMeta), batchv1.CronJobStatus{}
		o.Spec = batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: slimTemplate(&o.Spec.JobTemplate.Spec.Template)}}}
	case *batchv1.Job:
		slimJob(o)
	case *appsv1.DaemonSet:
		o.ObjectMeta, o.Status = slimWorkload(&o.ObjectMeta), appsv1.DaemonSetStatus{}
		o.Spec = appsv1.DaemonSetSpec{Template: slimTemplate(&o.Spec.Template)}
	case *appsv1.Deployment:
		o.ObjectMeta, o.Status = slimWorkload(&o.ObjectMeta), appsv1.DeploymentStatus{}
		o.Spec = appsv1.DeploymentSpec{Paused: o.Spec.Paused, Template: slimTemplate(&o.Spec.Template)}
	case *appsv1.ReplicaSet:
		o.ObjectMeta, o.Status = slimMeta(&o.ObjectMeta), appsv1.ReplicaSetStatus{}
		o.Spec = appsv1.ReplicaSetSpec{Template: slimTemplate(&o.Spec.Template)}
	case *appsv1.StatefulSet:
		o.ObjectMeta, o.Status = slimWorkload(&o.ObjectMeta), appsv1.StatefulSetStatus{}
		o.Spec = appsv1.StatefulSetSpec{Template: slimTemplate(&o.Spec.Template)}
	case *appsv1.ControllerRevision:
		slimRevision(o)
	case client.Object:
		o.SetManagedFields(nil)
	}
	return object, nil
}

func slimPod(pod *corev1.Pod) {
	if !Active(pod) {
		pod.Spec = corev1.PodSpec{}
	}
	pod.ObjectMeta = keepResolved(pod, slimMeta(&pod.ObjectMeta))
	spec := slimSpec(&pod.Spec)
	spec.NodeName, spec.ImagePullSecrets = pod.Spec.NodeName, pod.Spec.ImagePullSecrets
	pod.Spec = spec
	status := corev1.PodStatus{Phase: pod.Status.Phase, HostIP: pod.Status.HostIP}
	if Active(pod) {
		status.ContainerStatuses = slimStatuses(pod)
	}
	pod.Status = status
}

func slimNode(node *corev1.Node) {
	labels := node.Labels
	node.ObjectMeta = slimMeta(&node.ObjectMeta)
	node.Labels = labels
	info := node.Status.NodeInfo
	node.Spec = corev1.NodeSpec{}
	node.Status = corev1.NodeStatus{
		Addresses: node.Status.Addresses,
		NodeInfo:  corev1.NodeSystemInfo{OperatingSystem: info.OperatingSystem, Architecture: info.Architecture},
	}
}

func slimJob(job *batchv1.Job) {
	job.ObjectMeta = slimMeta(&job.ObjectMeta)
	if jobTemplate(job) == nil {
		job.Spec.Template = corev1.PodTemplateSpec{}
	}
	job.Spec = batchv1.JobSpec{Template: slimTemplate(&job.Spec.Template)}
	var conditions []batchv1.JobCondition
	for _, c := range job.Status.Conditions {
		conditions = append(conditions, batchv1.JobCondition{Type: c.Type, Status: c.Status})
	}
	job.Status = batchv1.JobStatus{Conditions: conditions}
}

func slimMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
		CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
	}
}

// slimWorkload keeps the annotations that are about rollouts, too.
func slimWorkload(m *metav1.ObjectMeta) metav1.ObjectMeta {
	slim := slimMeta(m)
	for _, key := range []string{v1alpha1.AnnotationOnUpdate, v1alpha1.AnnotationRestartInterval, v1alpha1.AnnotationPaused} {
		if value, ok := m.Annotations[key]; ok {
			metav1.SetMetaDataAnnotation(&slim, key, value)
		}
	}
	return slim
}

// slimRevision keeps of what a ControllerRevision holds the images alone.
func slimRevision(revision *appsv1.ControllerRevision) {
	template := revisionTemplate(revision)
	revision.ObjectMeta, revision.Data.Object = slimMeta(&revision.ObjectMeta), nil
	var data revisionData
	if template != nil {
		data.Spec.Template = slimTemplate(template)
	}
	revision.Data.Raw, _ = json.Marshal(data) // it can: it was JSON
}

func slimTemplate(t *corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: slimSpec(&t.Spec)}
}

// slimSpec keeps images alone, each once.
func slimSpec(spec *corev1.PodSpec) corev1.PodSpec {
	var slim corev1.PodSpec
	seen := map[image]bool{}
	for _, i := range imagesOf(spec) {
		if !seen[i] {
			slim.Containers = append(slim.Containers, corev1.Container{Image: i.name, ImagePullPolicy: i.policy})
		}
		seen[i] = true
	}
	return slim
}
