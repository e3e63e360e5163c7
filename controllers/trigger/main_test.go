package trigger

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/kube"
)

// cluster is shared by the tests, each of which has images of its own.
var cluster *kube.Cluster

func TestMain(m *testing.M) { os.Exit(kube.Main(m, &cluster)) }

// rig is a reconciler on a cache of its own, which a test has reconcile.
type rig struct {
	*Reconciler
	t      *testing.T
	image  *v1alpha1.CachedImage
	clock  time.Time
	writes atomic.Int64
	told   *events.FakeRecorder
}

// newRig returns one for an image of the test's own: name:1. The clock is half a day ahead, so that what the API server creates is old.
func newRig(t *testing.T, name string) *rig {
	t.Helper()
	c, err := cache.New(cluster.Config, cache.Options{Scheme: kube.Scheme(), DefaultTransform: usage.Slim})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(usage.IndexImages(t.Context(), c), usage.IndexRepositories(t.Context(), c), usage.IndexWorkloads(t.Context(), c, scope))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running the cache: %v", err)
		}
	})
	r := &rig{t: t, clock: time.Now().Add(12 * time.Hour).Truncate(time.Second), told: events.NewFakeRecorder(100)}
	live, err := client.NewWithWatch(cluster.Config, client.Options{Scheme: kube.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	r.Reconciler, err = New(Options{
		Client: &split{Client: interceptor.NewClient(live, r.count()), cached: c}, Live: live, Scope: scope, Events: r.told,
		Metrics: prometheus.NewRegistry(), Now: func() time.Time { return r.clock },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.image = create(t, &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CachedImageSpec{SourceImage: name + ":1"}})
	return r
}

// split reads from a cache and writes to the API server, as a manager's client does.
type split struct {
	client.Client
	cached client.Reader
}

func (s *split) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return s.cached.Get(ctx, key, object, options...)
}

func (s *split) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return s.cached.List(ctx, list, options...)
}

func (r *rig) count() interceptor.Funcs {
	return interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			r.writes.Add(1)
			return c.Patch(ctx, object, patch, options...)
		},
		SubResourceApply: func(ctx context.Context, c client.Client, sub string, object runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
			r.writes.Add(1)
			return c.SubResource(sub).Apply(ctx, object, options...)
		},
	}
}

// serves writes the registry's part of the status: the history, and whether the newest is stored whole.
func (r *rig) serves(history ...v1alpha1.Revision) {
	r.t.Helper()
	r.refresh()
	r.image.Status.History, r.image.Status.Digest = history, history[0].Digest
	value := metav1.ConditionTrue
	if history[0].CompleteAt == nil {
		value = metav1.ConditionFalse
	}
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: value, Reason: v1alpha1.ReasonMirrored, LastTransitionTime: metav1.Now()}
	conditions := []metav1.Condition{ready}
	for _, c := range r.image.Status.Conditions {
		if c.Type != v1alpha1.ConditionReady {
			conditions = append(conditions, c)
		}
	}
	r.image.Status.Conditions = conditions
	if err := cluster.Status().Update(r.t.Context(), r.image); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) refresh() {
	r.t.Helper()
	if err := cluster.Get(r.t.Context(), client.ObjectKeyFromObject(r.image), r.image); err != nil {
		r.t.Fatal(err)
	}
}

// reconcile looks at the image once the cache has what the API server has.
func (r *rig) reconcile(objects ...client.Object) ctrl.Result {
	r.t.Helper()
	r.refresh()
	for _, object := range append(objects, r.image) {
		cached, _ := object.DeepCopyObject().(client.Object)
		live, _ := object.DeepCopyObject().(client.Object)
		eventually(r.t, "the cache to know "+object.GetName(), func() bool {
			return cluster.Get(r.t.Context(), client.ObjectKeyFromObject(object), live) == nil &&
				r.o.Client.Get(r.t.Context(), client.ObjectKeyFromObject(object), cached) == nil && cached.GetResourceVersion() == live.GetResourceVersion()
		})
	}
	result, err := r.Reconcile(r.t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(r.image)})
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// events are those that were told since it was asked last.
func (r *rig) events() string {
	var all []string
	for {
		select {
		case e := <-r.told.Events:
			all = append(all, e)
		default:
			return strings.Join(all, "\n")
		}
	}
}

// create creates an object that ends with the test.
func create[T client.Object](t *testing.T, object T) T {
	t.Helper()
	if err := cluster.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Delete(context.Background(), object); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
	return object
}

var labels = map[string]string{"app": "web"}

// deployment creates one in a namespace of its own.
func (r *rig) deployment(policy corev1.PullPolicy, annotations map[string]string) *appsv1.Deployment {
	r.t.Helper()
	namespace := create(r.t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}})
	return create(r.t, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "web", Annotations: annotations},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: r.template(policy)},
	})
}

// superseded creates deployments that ask to be restarted and run what was superseded an hour ago.
func (r *rig) superseded(n int, policy corev1.PullPolicy) (all []client.Object) {
	r.t.Helper()
	for range n {
		d := r.deployment(policy, asks)
		r.rolled(d, "1", one, time.Now())
		all = append(all, d)
	}
	r.serves(since(two, r.clock.Add(-time.Hour)), since(one, r.clock.Add(-48*time.Hour)))
	return all
}

func (r *rig) template(policy corev1.PullPolicy) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "c", Image: r.image.Spec.SourceImage, ImagePullPolicy: policy}},
	}}
}

// rolled makes the ReplicaSet of a Deployment as it is, with a pod that runs a digest since a time, as kube-controller-manager and kubelet do.
func (r *rig) rolled(d *appsv1.Deployment, number, digest string, started time.Time) *corev1.Pod {
	r.t.Helper()
	set := create(r.t, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: "web-" + number, Labels: labels, Annotations: map[string]string{annotationRevision: number},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template},
	})
	return r.runs(d.Namespace, metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet")), digest, started)
}

// runs creates a pod by tag of which the runtime tells a digest.
func (r *rig) runs(namespace string, owner *metav1.OwnerReference, digest string, started time.Time) *corev1.Pod {
	r.t.Helper()
	pod := create(r.t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "web-", Labels: labels, OwnerReferences: []metav1.OwnerReference{*owner}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: behind + r.image.Spec.SourceImage}}},
	})
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", ImageID: "localhost:7439/x@" + digest, State: corev1.ContainerState{
		Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)},
	}}}
	if err := cluster.Status().Update(r.t.Context(), pod); err != nil {
		r.t.Fatal(err)
	}
	return pod
}

// eventually waits for what a cache will say once it has caught up.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}
