package repository_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/controllers/repository"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/kube"
)

var cluster *kube.Cluster

func TestMain(m *testing.M) { os.Exit(kube.Main(m, &cluster)) }

// process is a controller process, as far as this package goes.
type process struct {
	mu     sync.Mutex
	writes []string // method and path

	stop func() // returns when it has ended
}

// start runs a process until the test ends or stop is called.
func start(t *testing.T) *process {
	t.Helper()
	p := &process{}
	c := rest.CopyConfig(cluster.Config)
	c.Wrap(p.note)
	m, err := ctrl.NewManager(c, ctrl.Options{
		Scheme: kube.Scheme(), Cache: cache.Options{DefaultTransform: usage.Slim},
		Controller: config.Controller{SkipNameValidation: new(true)}, Metrics: metricsserver.Options{BindAddress: "0"},
	})
	must(t, err)
	must(t, usage.IndexImages(t.Context(), m.GetFieldIndexer()))
	must(t, usage.IndexRepositories(t.Context(), m.GetFieldIndexer()))
	must(t, repository.New(m.GetClient(), policy.Defaults{}).Register(m))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running the manager: %v", err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

func (p *process) note(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Method != http.MethodGet {
			p.mu.Lock()
			p.writes = append(p.writes, req.Method+" "+req.URL.Path)
			p.mu.Unlock()
		}
		return next.RoundTrip(req)
	})
}

// wrote counts the writes to one Repository, and to its status.
func (p *process) wrote(name string) (object, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, write := range p.writes {
		switch {
		case strings.HasSuffix(write, "/"+name):
			object++
		case strings.HasSuffix(write, "/"+name+"/status"):
			status++
		}
	}
	return object, status
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func createRepository(t *testing.T, name string, spec v1alpha1.RepositorySpec) *v1alpha1.Repository {
	t.Helper()
	object := &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	must(t, cluster.Create(t.Context(), object))
	return object
}

func createImage(t *testing.T, name, source string) *v1alpha1.CachedImage {
	t.Helper()
	object := &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CachedImageSpec{SourceImage: source}}
	must(t, cluster.Create(t.Context(), object))
	return object
}

// summary is what a test says of a status.
type summary struct {
	Phase      v1alpha1.RepositoryPhase
	Images     int32
	Conditions []string // "Ready=True InForce", in order
}

func summaryOf(object *v1alpha1.Repository) summary {
	s := summary{Phase: object.Status.Phase, Images: ptr.Deref(object.Status.Images, -1)}
	for _, c := range object.Status.Conditions {
		s.Conditions = append(s.Conditions, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
	}
	return s
}

func ready(images int32) summary {
	return summary{v1alpha1.RepositoryReady, images, []string{"Ready=True InForce"}}
}

// becomes waits until a Repository's status is the one wanted, and returns it.
func becomes(t *testing.T, name string, want summary) *v1alpha1.Repository {
	t.Helper()
	object := &v1alpha1.Repository{}
	eventually(t, func() error {
		object = &v1alpha1.Repository{}
		if err := cluster.Get(t.Context(), client.ObjectKey{Name: name}, object); err != nil {
			return err
		}
		if got := summaryOf(object); fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("%s is %v, want %v", name, got, want)
		}
		return nil
	})
	return object
}

// goes waits until a Repository is gone.
func goes(t *testing.T, name string) {
	t.Helper()
	eventually(t, func() error {
		err := cluster.Get(t.Context(), client.ObjectKey{Name: name}, &v1alpha1.Repository{})
		if err == nil {
			return fmt.Errorf("%s is still there", name)
		}
		return client.IgnoreNotFound(err)
	})
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
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
