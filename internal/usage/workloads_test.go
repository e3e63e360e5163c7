package usage_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/kube"
)

// TestIndexes runs what finds objects on the cache of a process, against a real API server.
func TestIndexes(t *testing.T) {
	t.Parallel()
	cluster := kube.New(t)
	indexed := newCache(t, cluster)
	make := func(object client.Object) client.Object {
		t.Helper()
		if err := cluster.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		return object
	}
	for _, object := range everyWorkload("shop", "nginx:1.27") {
		make(object)
	}
	make(&appsv1.Deployment{ObjectMeta: named("rewritten"), Spec: deployment("localhost:7439/docker.io/library/nginx:1.27", 3)})
	make(&appsv1.Deployment{ObjectMeta: named("another"), Spec: deployment("nginx:1.28", 1)})
	done := make(&batchv1.Job{ObjectMeta: named("done"), Spec: batchv1.JobSpec{Template: template("nginx:1.27", corev1.RestartPolicyNever)}})
	make(&appsv1.ControllerRevision{ObjectMeta: named("foreign"), Data: runtime.RawExtension{Raw: []byte(`{"spec":{"template":"nginx:1.27"}}`)}})
	want := []string{
		"ControllerRevision default/shop", "CronJob default/shop", "DaemonSet default/shop", "Deployment default/rewritten", "Deployment default/shop", "Job default/done",
		"Job default/shop", "ReplicaSet default/shop", "StatefulSet default/shop",
	}
	until(t, want, func() ([]string, error) { return usage.WorkloadsUsing(t.Context(), indexed, ref(t, "nginx:1.27")) })

	finish(t, cluster, done.(*batchv1.Job))
	want = append(want[:5:5], want[6:]...)
	until(t, want, func() ([]string, error) { return usage.WorkloadsUsing(t.Context(), indexed, ref(t, "nginx:1.27")) })

	until(t, []string{"shop", "shop", "shop"}, func() ([]string, error) { return objects(usage.Owners(t.Context(), indexed, ref(t, "nginx:1.27"))) })
	until(t, []string{"rewritten", "shop", "shop", "shop"}, func() ([]string, error) { return objects(usage.Rolled(t.Context(), indexed, ref(t, "nginx:1.27"))) })

	pod := func(name, image string) {
		make(&corev1.Pod{ObjectMeta: named(name), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: image}}}})
	}
	pod("a", "localhost:7439/docker.io/library/nginx:1.27")
	pod("b", "localhost:7439/nginx:1.27")
	pod("c", "nginx:1.27")
	make(&v1alpha1.CachedImage{ObjectMeta: named("mine"), Spec: v1alpha1.CachedImageSpec{SourceImage: "docker.io/nginx:1.27"}})
	make(&v1alpha1.CachedImage{ObjectMeta: named("other"), Spec: v1alpha1.CachedImageSpec{SourceImage: "index.docker.io/library/nginx:1.28"}})
	make(&v1alpha1.Repository{ObjectMeta: named("z-older"), Spec: v1alpha1.RepositorySpec{Name: "nginx"}})
	nginx := ref(t, "nginx:1.27")
	until(t, []string{"a", "b"}, func() ([]string, error) { return names(usage.PodsUsing(t.Context(), indexed, nginx)) })
	until(t, []string{"a", "b"}, func() ([]string, error) { return names(usage.PodsOf(t.Context(), indexed, nginx.Repository)) })
	until(t, []string{"mine"}, func() ([]string, error) { return names(usage.CachedImages(t.Context(), indexed, nginx)) })
	until(t, []string{"mine", "other"}, func() ([]string, error) { return names(usage.CachedImagesOf(t.Context(), indexed, nginx.Repository)) })
	until(t, []string{"z-older"}, func() ([]string, error) { return names(usage.Repositories(t.Context(), indexed, nginx.Repository)) })
	for image, want := range map[string]bool{"nginx:1.27": true, "nginx:1.28": false} {
		if got, err := usage.Used(t.Context(), indexed, ref(t, image)); err != nil || got != want {
			t.Errorf("Used of %s = %v, %v, want %v", image, got, err, want)
		}
	}
}

func newCache(t *testing.T, cluster *kube.Cluster) cache.Cache {
	t.Helper()
	c, err := cache.New(cluster.Config, cache.Options{Scheme: kube.Scheme(), DefaultTransform: usage.Slim})
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []func() error{
		func() error { return usage.IndexPods(t.Context(), c, rewriting) },
		func() error { return usage.IndexWorkloads(t.Context(), c, rewriting) },
		func() error { return usage.IndexImages(t.Context(), c) },
		func() error { return usage.IndexRepositories(t.Context(), c) },
	} {
		if err := index(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running the cache: %v", err)
		}
	})
	return c
}

// finish says of a Job that it is complete, as the Job controller does.
func finish(t *testing.T, cluster *kube.Cluster, job *batchv1.Job) {
	t.Helper()
	now := metav1.Now()
	job.Status = batchv1.JobStatus{StartTime: &now, CompletionTime: &now, Succeeded: 1, Conditions: []batchv1.JobCondition{
		{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, LastTransitionTime: now},
		{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: now},
	}}
	if err := cluster.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}

func everyWorkload(name, image string) []client.Object {
	replicas := appsv1.ReplicaSetSpec{Selector: selector, Replicas: ptr.To[int32](0), Template: template(image, corev1.RestartPolicyAlways)}
	return []client.Object{
		&batchv1.CronJob{ObjectMeta: named(name), Spec: batchv1.CronJobSpec{Schedule: "0 3 * * *", JobTemplate: batchv1.JobTemplateSpec{
			Spec: batchv1.JobSpec{Template: template(image, corev1.RestartPolicyNever)},
		}}},
		&batchv1.Job{ObjectMeta: named(name), Spec: batchv1.JobSpec{Suspend: new(true), Template: template(image, corev1.RestartPolicyNever)}},
		&appsv1.Deployment{ObjectMeta: named(name), Spec: deployment(image, 0)},
		&appsv1.StatefulSet{ObjectMeta: named(name), Spec: appsv1.StatefulSetSpec{Selector: selector, Replicas: ptr.To[int32](0), Template: template(image, corev1.RestartPolicyAlways)}},
		&appsv1.DaemonSet{ObjectMeta: named(name), Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template(image, corev1.RestartPolicyAlways)}},
		&appsv1.ReplicaSet{ObjectMeta: named(name), Spec: replicas},
		&appsv1.ControllerRevision{ObjectMeta: named(name), Data: runtime.RawExtension{Raw: []byte(`{"spec":{"template":{"$patch":"replace","spec":` +
			`{"containers":[{"name":"a","image":"` + image + `","args":["b"]}]}}}}`)}},
	}
}

func deployment(image string, replicas int32) appsv1.DeploymentSpec {
	return appsv1.DeploymentSpec{Selector: selector, Replicas: &replicas, Template: template(image, corev1.RestartPolicyAlways)}
}

var selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}

func template(image string, restart corev1.RestartPolicy) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: selector.MatchLabels},
		Spec:       corev1.PodSpec{RestartPolicy: restart, Containers: []corev1.Container{{Name: "a", Image: image}}},
	}
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "default", Name: name} }

func ref(t *testing.T, image string) imageref.Reference {
	t.Helper()
	parsed, err := imageref.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func names[T any, P interface {
	*T
	client.Object
}](items []T, err error) ([]string, error) {
	var all []string
	for i := range items {
		all = append(all, P(&items[i]).GetName())
	}
	return all, err
}

func objects(items []client.Object, err error) ([]string, error) {
	var all []string
	for _, item := range items {
		all = append(all, item.GetName())
	}
	slices.Sort(all)
	return all, err
}

// until waits for what a cache will say once it has caught up.
func until(t *testing.T, want []string, get func() ([]string, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := get()
		if err != nil {
			t.Fatal(err)
		}
		diff := cmp.Diff(want, got)
		if diff == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("names (-want +got):\n%s", diff)
		}
	}
}
