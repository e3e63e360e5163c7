package cachedimage

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

func create[T client.Object](t *testing.T, object T) T {
	t.Helper()
	if err := cluster.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	return object
}

func remove(t *testing.T, object client.Object) {
	t.Helper()
	if err := cluster.Delete(t.Context(), object, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}

// image is the CachedImage that Larder would make for source.
func image(t *testing.T, source string, change ...func(*v1alpha1.CachedImage)) *v1alpha1.CachedImage {
	t.Helper()
	ref, err := imageref.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	object := &v1alpha1.CachedImage{
		ObjectMeta: metav1.ObjectMeta{Name: ref.ObjectName(0)},
		Spec:       v1alpha1.CachedImageSpec{SourceImage: source},
	}
	for _, change := range change {
		change(object)
	}
	return object
}

func pod(name, source string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: podSpec(source)}
}

// podSpec uses an image as the webhook rewrites it.
func podSpec(source string) corev1.PodSpec {
	ref, err := imageref.Parse(source)
	if err != nil {
		panic(err)
	}
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: ref.Rewrite(proxy)}}}
}

func template(source string) (*metav1.LabelSelector, corev1.PodTemplateSpec) {
	labels := map[string]string{"app": "test"}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: source}}}
	return &metav1.LabelSelector{MatchLabels: labels}, corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
}

func deployment(name, source string) *appsv1.Deployment {
	selector, template := template(source)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       appsv1.DeploymentSpec{Replicas: ptr.To[int32](0), Selector: selector, Template: template},
	}
}

func replicaSet(name, source string) *appsv1.ReplicaSet {
	selector, template := template(source)
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](0), Selector: selector, Template: template},
	}
}

func cronJob(name, source string) *batchv1.CronJob {
	_, template := template(source)
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       batchv1.CronJobSpec{Schedule: "0 3 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template}}},
	}
}
