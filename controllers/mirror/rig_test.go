package mirror_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws" // what replicas share
	"github.com/go-logr/logr/testr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	crcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/controllers/mirror"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/kube"
	"github.com/larder-dev/larder/tests/origin"
)

const (
	host      = "reg.example" // what the origin of a test is called
	proxy     = "localhost:7439"
	testLabel = "test"
)

// rig is a registry's reconciler and cache, over a real store, a real origin and a real API server.
type rig struct {
	t       *testing.T
	id      string // of the test, in labels and names
	origin  *origin.Origin
	data    string
	storage store.Options // beside what start fills in
	current *policy.Current
	options mirror.Options // beside what start fills in
	wrap    func(*cache.Cache) mirror.Cache
	writes  *writes
	ahead   time.Duration // of the registry's clock
	heard   heard

	cache  *cache.Cache
	client client.Client // what the registry sees
	stop   func()
}

func newRig(t *testing.T, opts ...origin.Option) *rig {
	t.Helper()
	id := strings.ToLower(strings.ReplaceAll(t.Name(), "_", "-"))
	r := &rig{
		t: t, id: id[max(0, len(id)-50):] + strings.ToLower(rand.Text()[:6]), origin: origin.New(t, opts...), data: t.TempDir(), current: &policy.Current{},
		wrap: func(c *cache.Cache) mirror.Cache { return c }, writes: &writes{},
	}
	r.stop = func() {}
	t.Cleanup(func() { r.stop() })
	return r
}

// start starts the registry.
func (r *rig) start() *rig {
	r.t.Helper()
	log := testr.NewWithOptions(r.t, testr.Options{})
	counted := metrics.New(prometheus.NewRegistry())
	s := r.storage
	s.Data, s.Log = r.data, log
	kept, err := store.Open(r.t.Context(), s)
	r.must(err)
	var registries []upstream.Registry
	for _, name := range []string{host, "a.example", "b.example", "c.example"} {
		registries = append(registries, upstream.Registry{Host: name, Endpoints: []string{r.origin.URL()}})
	}
	source, err := upstream.New(upstream.Options{Registries: registries, Metrics: counted, Log: log})
	r.must(err)
	var reconciler atomic.Pointer[mirror.Reconciler]
	r.cache = cache.New(cache.Options{
		Store: kept, Origin: source, Policies: policies{r.current}, CheckTimeout: 20 * time.Second, Now: r.now, Metrics: counted, Log: log,
		OnTag: func(repo imageref.Repository, tag string) {
			if m := reconciler.Load(); m != nil {
				m.TagChanged(repo, tag)
			}
		},
		Spare: func(repo imageref.Repository, tag string) bool { return r.current.Load().Unused(repo, tag) },
		OnEvict: func(ref imageref.Reference, image cache.Image) {
			if m := reconciler.Load(); m != nil {
				m.Evicting(ref, image)
			}
		},
	})
	manager := r.manager()
	r.client = manager.GetClient()
	o := r.options
	o.Client, o.Cache, o.Policies, o.Events = manager.GetClient(), r.wrap(r.cache), r.current, manager.GetEventRecorder("larder-registry")
	if o.Now = r.now; o.Changes == nil {
		o.Changes = &r.heard
	}
	m := mirror.New(o)
	reconciler.Store(m)
	r.must(m.Register(manager))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("the manager: %v", err)
		}
		r.cache.Close()
		source.Close()
		r.stop = func() {}
	}
	return r
}

func (r *rig) now() time.Time { return time.Now().Add(r.ahead) }

func (r *rig) manager() ctrl.Manager {
	mine := crcache.ByObject{Label: labels.SelectorFromSet(labels.Set{testLabel: r.id})}
	own := rest.CopyConfig(cluster.Config)
	own.WrapTransport = r.writes.count
	manager, err := ctrl.NewManager(own, ctrl.Options{
		Scheme:     kube.Scheme(),
		Controller: config.Controller{SkipNameValidation: new(true)},
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Cache: crcache.Options{ByObject: map[client.Object]crcache.ByObject{
			&v1alpha1.CachedImage{}: mine, &corev1.Pod{}: mine, &corev1.Node{}: mine,
		}},
	})
	r.must(err)
	r.must(usage.IndexImages(r.t.Context(), manager.GetFieldIndexer()))
	r.must(usage.IndexPods(r.t.Context(), manager.GetFieldIndexer(), usage.Scope{Proxy: proxy}))
	return manager
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// writes counts the requests of a registry that are to change CachedImages, and the versions that they made: on a machine that is slow,
// what is read of an object may be older than what was written of it, and the same is written again to no effect.
type writes struct {
	n      atomic.Int64
	refuse atomic.Bool // statuses are not written

	mu       sync.Mutex
	versions map[string]bool
}

// made is how many versions were made.
func (w *writes) made() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.versions)
}

// note reads the version in an answer, and leaves the answer as it is.
func (w *writes) note(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var object metav1.PartialObjectMetadata
	if resp.StatusCode >= 300 {
		return nil
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.versions == nil {
		w.versions = map[string]bool{}
	}
	w.versions[object.ResourceVersion] = true
	return nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func (w *writes) count(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodGet || !strings.Contains(req.URL.Path, "/cachedimages/") {
			return next.RoundTrip(req)
		}
		if w.refuse.Load() && strings.HasSuffix(req.URL.Path, "/status") {
			return nil, errors.New("refused by the test")
		}
		w.n.Add(1)
		resp, err := next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		return resp, w.note(resp)
	})
}

// policies says what the objects in force want, in the cache's words.
type policies struct{ current *policy.Current }

func (p policies) Policy(repo imageref.Repository, tag string) cache.Policy {
	return cache.Policy(p.current.Load().Decide(repo, tag))
}
func (p policies) Listing(repo imageref.Repository) time.Duration {
	return p.current.Load().Listing(repo)
}
func (p policies) Named(repo imageref.Repository, tag string) bool {
	return p.current.Load().Named(repo, tag)
}
func (p policies) Periodic() []imageref.Repository { return p.current.Load().Periodic() }
func (p policies) Generation() uint64              { return p.current.Generation() }
