package access

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/tests/kube"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// shared is the cluster of tests that leave it as it is but for namespaces of their own.
var shared *kube.Cluster

var oneUser sync.Mutex

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	var err error
	if shared, err = kube.Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := shared.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// world is a keychain as the registry has it: under a user that may watch pods, and get secrets.
type world struct {
	*Keychain
	t       *testing.T
	cluster *kube.Cluster
	config  *rest.Config
	ns      string // the test's own
	lines   *lines // of the log
	asked   *requests
	own     *atomic.Pointer[[]string]
}

func newWorld(t *testing.T, c *kube.Cluster, narrow func(*Options, string)) *world {
	t.Helper()
	name := "access-" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	w := &world{t: t, cluster: c, ns: name[:min(len(name), 60)], lines: &lines{}, asked: &requests{}, own: &atomic.Pointer[[]string]{}}
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}})
	w.create(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: w.ns}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}},
	}})
	w.create(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.ns},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: w.ns},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: w.ns}},
	})
	oneUser.Lock() // envtest makes one at a time
	_, w.config = c.User(t, w.ns)
	oneUser.Unlock()
	w.config.Wrap(w.asked.wrap)
	o := Options{Pods: w.pods(true), Secrets: w.direct(), Namespace: w.ns, Log: w.lines.logger(), Own: func(imageref.Repository) []string {
		if own := w.own.Load(); own != nil {
			return *own
		}
		return nil
	}}
	if narrow != nil {
		narrow(&o, w.ns)
	}
	w.Keychain = New(o)
	return w
}

// pods starts a cache of pods, and waits for it where synced says so.
func (w *world) pods(synced bool) client.Reader {
	w.t.Helper()
	pods, err := ctrlcache.New(w.config, ctrlcache.Options{
		Scheme: kube.Scheme(), Mapper: w.cluster.RESTMapper(), DefaultTransform: usage.Slim, // the mapper: discovery waits for the API server
	})
	w.must(err)
	w.must(usage.IndexPods(w.t.Context(), pods, usage.Scope{All: true}))
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = pods.Start(ctx) })
	w.t.Cleanup(func() { cancel(); wg.Wait() })
	if synced && !pods.WaitForCacheSync(ctx) {
		w.t.Fatal("the cache of pods does not come into sync")
	}
	return pods
}

func (w *world) direct() client.Reader {
	w.t.Helper()
	c, err := client.New(w.config, client.Options{Scheme: kube.Scheme(), Mapper: w.cluster.RESTMapper()})
	w.must(err)
	return c
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(object client.Object) {
	w.t.Helper()
	w.must(w.cluster.Create(context.Background(), object))
}

// pod creates a pod of the repository's image, and waits until the keychain knows it.
func (w *world) pod(name, image string, secrets ...string) *corev1.Pod {
	w.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.ns},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: image}}},
	}
	for _, secret := range secrets {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
	}
	w.create(pod)
	ref, err := imageref.Parse(image)
	w.must(err)
	w.await(func() bool {
		pods, err := usage.PodsOf(w.t.Context(), w.o.Pods, ref.Repository)
		w.must(err)
		for i := range pods {
			if pods[i].UID == pod.UID {
				return true
			}
		}
		return false
	})
	return pod
}

func (w *world) await(done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal("waited in vain")
		}
	}
}

func secretOf(ns, name, content string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(content)},
	}
}

// secret creates a pull secret for a user of a registry or a part of it; see password.
func (w *world) secret(name, key, user string) {
	w.t.Helper()
	w.create(secretOf(w.ns, name, fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, key, user, password(user))))
}

func password(user string) string { return "pass-of-" + user }

// users names those whose credentials were found.
func users(found []authn.AuthConfig) []string {
	names := []string{}
	for _, config := range found {
		names = append(names, config.Username)
	}
	return names
}

// lines are a log's.
type lines struct {
	mu   sync.Mutex
	said []string
}

func (l *lines) logger() logr.Logger {
	return funcr.New(func(_, line string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.said = append(l.said, line)
	}, funcr.Options{Verbosity: 10})
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.said...)
}

// requests are those that reached the API server for secrets.
type requests struct {
	mu   sync.Mutex
	list []string
}

func (r *requests) wrap(next http.RoundTripper) http.RoundTripper {
	return tripper(func(req *http.Request) (*http.Response, error) {
		if strings.Contains(req.URL.Path, "/secrets") {
			r.mu.Lock()
			r.list = append(r.list, req.Method+" "+req.URL.RequestURI())
			r.mu.Unlock()
		}
		return next.RoundTrip(req)
	})
}

func (r *requests) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.list...)
}

type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(req *http.Request) (*http.Response, error) { return t(req) }
