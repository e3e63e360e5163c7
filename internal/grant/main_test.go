package grant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a keeper over a real store, between a cluster and an origin that do as the test says.
type world struct {
	*Keeper
	t    *testing.T
	data string
	repo imageref.Repository
	rule Rule
	from []imageref.Repository // origins of repo; none: itself

	mu       sync.Mutex
	now      time.Time
	known    bool             // whether the pods are
	pods     map[string][]Pod // by node
	secrets  map[string]authn.AuthConfig
	own      []Claim
	yes      map[authn.AuthConfig]bool // whom the origin lets pull
	origin   error                     // what it answers to all others
	asked    int
	places   []imageref.Repository // that were asked
	changes  chan struct{}
	refusals []*Refusal
}

var (
	alice   = authn.AuthConfig{Username: "alice", Password: "wonderland"}
	mallory = authn.AuthConfig{Username: "mallory", Password: "guessed"}
	nobody  authn.AuthConfig
)

func newWorld(t *testing.T) *world {
	t.Helper()
	repo, err := imageref.ParseRepository("reg.example/team/app")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, data: t.TempDir(), repo: repo, known: true, now: time.Now(), pods: map[string][]Pod{},
		secrets: map[string]authn.AuthConfig{"a/pull": alice, "b/wrong": mallory, "b/right": alice}, yes: map[authn.AuthConfig]bool{alice: true},
		origin: &upstream.Error{Reason: upstream.Denied, Err: errors.New("403")}, changes: make(chan struct{}),
	}
	w.open()
	return w
}

// open starts a keeper on the folder.
func (w *world) open() {
	w.t.Helper()
	s, err := store.Open(w.t.Context(), store.Options{Data: w.data, Log: testr.New(w.t)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Keeper, err = New(NewBook(s, testr.New(w.t)), w, Options{
		Cluster: w, LastKnown: w.data + "/access.json", Metrics: metrics.New(prometheus.NewRegistry()), Log: testr.New(w.t),
		Rule:    func(imageref.Repository) Rule { return w.rule },
		Origins: func(imageref.Repository) []imageref.Repository { return w.from },
		AskedFor: func(origin imageref.Repository) []imageref.Repository {
			return []imageref.Repository{origin, w.repo}
		},
		Now: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		},
		OnRefused: func(why *Refusal) { w.refusals = append(w.refusals, why) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.Keeper.Close)
}

// restart ends the keeper as a process would, and starts another.
func (w *world) restart() {
	w.t.Helper()
	var failed bool
	w.settle(w.t.Context(), &failed)
	w.Keeper.Close()
	w.open()
}

// set changes the world, and tells the keeper of its pods.
func (w *world) set(change func()) {
	w.mu.Lock()
	change()
	close(w.changes)
	w.changes = make(chan struct{})
	w.mu.Unlock()
	for _, node := range []string{"node", "gone", "other"} {
		w.PodsChanged(w.repo, node)
	}
}

// run puts a pod with secrets of its namespace on a node.
func (w *world) run(node, ns, name string, secrets ...string) {
	w.set(func() {
		w.pods[node] = append(w.pods[node], Pod{Namespace: ns, Name: name, UID: ns + name, Secrets: secrets})
	})
}

// end removes the pods of a node.
func (w *world) end(node string) { w.set(func() { delete(w.pods, node) }) }

func (w *world) pass(d time.Duration) { w.set(func() { w.now = w.now.Add(d) }) }

func (w *world) allow(configs ...authn.AuthConfig) {
	w.set(func() {
		w.yes = map[authn.AuthConfig]bool{}
		for _, c := range configs {
			w.yes[c] = true
		}
	})
}

func (w *world) down() {
	w.set(func() {
		w.yes, w.origin = nil, &upstream.Error{Reason: upstream.Unreachable, Err: errors.New("connection refused")}
	})
}

// want checks what a node is told; an empty reason: that it may pull.
func (w *world) want(node string, reason Reason) {
	w.t.Helper()
	err := w.Admit(w.t.Context(), Request{Node: node, Repo: w.repo, Probe: upstream.Probe{Reference: "v1"}})
	if reason == "" && err == nil {
		return
	}
	var why *Refusal
	if !errors.As(err, &why) || why.Reason != reason {
		w.t.Errorf("node %q: %v, want %q", node, err, reason)
	}
}

func (w *world) Confirm(_ context.Context, origin imageref.Repository, c authn.AuthConfig, _ upstream.Probe) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	w.places = append(w.places, origin)
	if len(w.from) > 0 && !slices.Contains(w.from, origin) {
		return fmt.Errorf("%s is not to be asked", origin)
	}
	if w.yes[c] {
		return nil
	}
	return w.origin
}

func (w *world) Files(context.Context, imageref.Repository) []authn.AuthConfig { return nil }

func (w *world) Pods(_ context.Context, _ imageref.Repository, node string) ([]Pod, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		return nil, errors.New("not synced")
	}
	if node != "" {
		return slices.Clone(w.pods[node]), nil
	}
	var all []Pod
	for _, pods := range w.pods {
		all = append(all, pods...)
	}
	return all, nil
}

func (w *world) Claims(_ context.Context, _ imageref.Repository, pods []Pod) ([]Claim, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var claims []Claim
	for _, pod := range pods {
		for _, name := range pod.Secrets {
			if c, ok := w.secrets[fmt.Sprintf("%s/%s", pod.Namespace, name)]; ok {
				claims = append(claims, Claim{Credential: c, Namespace: pod.Namespace})
			}
		}
	}
	return claims, nil
}

func (w *world) Own(context.Context, imageref.Repository, imageref.Repository) ([]Claim, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.own), nil
}

func (w *world) OwnSources(imageref.Repository, imageref.Repository) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var sources []string
	for _, c := range w.own {
		sources = append(sources, c.Source)
	}
	return sources
}

func (w *world) Changed(imageref.Repository) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes
}
