package pod_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/larder-dev/larder/controllers/pod"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/kube"
)

var (
	cluster *kube.Cluster
	scope   = usage.Scope{Proxy: "localhost:7439"}
)

func TestMain(m *testing.M) { os.Exit(kube.Main(m, &cluster)) }

// process is a controller process, as far as this package goes.
type process struct {
	manager.Manager
	requests *requests
	stop     func() // returns when it has ended
}

// start runs a process without leader election, until the test ends or stop is called.
func start(t *testing.T) *process {
	t.Helper()
	counted := &requests{}
	c := rest.CopyConfig(cluster.Config)
	c.Wrap(counted.wrap)
	m, err := ctrl.NewManager(c, ctrl.Options{
		Scheme: kube.Scheme(), Cache: cache.Options{DefaultTransform: usage.Slim},
		Controller: config.Controller{SkipNameValidation: new(true)}, Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, prepare := range []func() error{
		func() error { return usage.IndexPods(t.Context(), m.GetFieldIndexer(), scope) },
		func() error { return usage.IndexImages(t.Context(), m.GetFieldIndexer()) },
		func() error { return usage.IndexRepositories(t.Context(), m.GetFieldIndexer()) },
		func() error { return pod.New(m.GetClient(), scope).Register(m) },
	} {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	p := &process{Manager: m, requests: counted, stop: sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running the manager: %v", err)
		}
	})}
	t.Cleanup(p.stop)
	return p
}

// requests notes what a process asks of the API server, but for its watches and the lists before them.
type requests struct {
	mu   sync.Mutex
	seen []string
}

func (r *requests) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		informs := req.Method == http.MethodGet && (req.URL.Query().Has("watch") || req.URL.Query().Has("limit") || req.URL.Query().Has("resourceVersion"))
		discovers := strings.Count(req.URL.Path, "/") < 4
		if !informs && !discovers {
			r.mu.Lock()
			r.seen = append(r.seen, req.Method+" "+req.URL.Path)
			r.mu.Unlock()
		}
		return next.RoundTrip(req)
	})
}

func (r *requests) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.seen...)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// run creates a pod with containers of the images.
func run(t *testing.T, name string, images ...string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	for i, image := range images {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image})
	}
	must(t, cluster.Create(t.Context(), p))
	t.Cleanup(func() { // no kubelet ends it
		must(t, client.IgnoreNotFound(cluster.Delete(context.Background(), p, client.GracePeriodSeconds(0))))
	})
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check finds nothing amiss.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		err := check()
		if err == nil {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
