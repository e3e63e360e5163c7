package revision_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/controllers/revision"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/kube"
)

var (
	cluster *kube.Cluster
	one     = "sha256:" + strings.Repeat("1", 64)
	two     = "sha256:" + strings.Repeat("2", 64)
)

func TestMain(m *testing.M) { os.Exit(kube.Main(m, &cluster)) }

var scope = usage.Scope{Proxy: "localhost:7439"}

func keeps(c client.Client) *revision.Reconciler { return revision.New(c, scope, policy.Defaults{}) }

// start runs a reconciler until stop is called or the test ends, and counts what it writes.
func start(t *testing.T, made func(client.Client) *revision.Reconciler) (writes *atomic.Int64, stop func()) {
	t.Helper()
	writes = &atomic.Int64{}
	c := rest.CopyConfig(cluster.Config)
	c.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodGet {
				writes.Add(1)
			}
			return next.RoundTrip(req)
		})
	})
	m, err := ctrl.NewManager(c, ctrl.Options{
		Scheme: kube.Scheme(), Cache: cache.Options{DefaultTransform: usage.Slim},
		Controller: config.Controller{SkipNameValidation: new(true)}, Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	index := m.GetFieldIndexer()
	err = errors.Join(usage.IndexImages(t.Context(), index), usage.IndexRepositories(t.Context(), index), usage.IndexWorkloads(t.Context(), index, scope),
		made(m.GetClient()).Register(m))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running the manager: %v", err)
		}
	})
	t.Cleanup(stop)
	return writes, stop
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

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

// kept waits until a CachedImage notes to keep digests.
func kept(t *testing.T, image *v1alpha1.CachedImage, digests ...string) {
	t.Helper()
	slices.Sort(digests)
	want := strings.Join(digests, ",")
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(image), image); err != nil {
			t.Fatal(err)
		}
		got := image.Annotations[v1alpha1.AnnotationKeptDigests]
		if got == want {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q is kept, want %q", got, want)
		}
	}
}

func since(digest string, at time.Time) v1alpha1.Revision {
	return v1alpha1.Revision{Digest: digest, FirstSeen: metav1.NewTime(at), LastSeen: metav1.NewTime(at), CompleteAt: new(metav1.NewTime(at))}
}

func tell(t *testing.T, image *v1alpha1.CachedImage, history ...v1alpha1.Revision) {
	t.Helper()
	before := image.DeepCopy()
	image.Status.History = history
	if err := cluster.Status().Patch(t.Context(), image, client.MergeFrom(before)); err != nil { // the controller writes too
		t.Fatal(err)
	}
}

// No pod runs, and the tag has moved long ago: what its ReplicaSet would get is kept for as long as that is there.
func TestRevision_KeepsWhatWorkloadsWouldScaleUpWith(t *testing.T) {
	writes, stop := start(t, keeps)
	repository := create(t, &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Spec: v1alpha1.RepositorySpec{Name: "shop", ResolveDigests: true}})
	image := create(t, &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Spec: v1alpha1.CachedImageSpec{SourceImage: "shop:1"}})
	now := time.Now()
	old := since(one, now.Add(-time.Hour))
	tell(t, image, old)
	labels := map[string]string{"app": "shop"}
	set := create(t, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shop"},
		Spec: appsv1.ReplicaSetSpec{Replicas: new(int32), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "shop:1"}}},
		}},
	})
	kept(t, image, one)
	third := since("sha256:"+strings.Repeat("3", 64), now.Add(48*time.Hour))
	tell(t, image, third, since(two, now.Add(24*time.Hour)), old) // it goes on; nobody uses what is newer
	create(t, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shop-1"},
		Data:       runtime.RawExtension{Raw: []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"docker.io/library/shop:1"}]}}}}`)},
	})
	kept(t, image, one)
	if err := cluster.Delete(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	tell(t, image, third, since(two, now.Add(-30*time.Minute)), old)
	kept(t, image, two) // the ControllerRevision
	settle(t)
	before := writes.Load()
	resolve(t, repository, false)
	kept(t, image)
	if n := writes.Load() - before; n != 1 {
		t.Errorf("%d writes, want one", n)
	}

	resolve(t, repository, true)
	kept(t, image, two)
	stop()
	writes, _ = start(t, revision.NewRelease)
	kept(t, image)
	tell(t, image, third, since(two, now.Add(-20*time.Minute)), old)
	kept(t, create(t, annotated("shop-2", "shop:2")))
	if n := writes.Load(); n != 2 {
		t.Errorf("%d writes where nothing is kept any more, want one for each image", n)
	}
}

// settle returns when the reconciler, which does one thing after the other, has done all that waited: it may have looked at an image once more
// before its cache had what it wrote.
func settle(t *testing.T) {
	t.Helper()
	kept(t, create(t, annotated("settled", "none:1")))
}

// annotated is a CachedImage that notes to keep what nobody needs.
func annotated(name, image string) *v1alpha1.CachedImage {
	return &v1alpha1.CachedImage{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{v1alpha1.AnnotationKeptDigests: one}},
		Spec:       v1alpha1.CachedImageSpec{SourceImage: image},
	}
}

func resolve(t *testing.T, repository *v1alpha1.Repository, resolves bool) {
	t.Helper()
	repository.Spec.ResolveDigests = resolves
	if err := cluster.Update(t.Context(), repository); err != nil {
		t.Fatal(err)
	}
}
