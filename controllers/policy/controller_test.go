package policy

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/tests/kube"
)

// follower is a reconciler with what it says.
type follower struct {
	*Reconciler
	current policy.Current
	mu      sync.Mutex
	lines   []string
}

func newFollower(c client.Reader, snapshot string, defaults policy.Defaults) *follower {
	f := &follower{}
	log := funcr.New(func(_, line string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.lines = append(f.lines, line)
	}, funcr.Options{})
	f.Reconciler = New(Options{Client: c, Current: &f.current, Defaults: defaults, Snapshot: snapshot, Log: log})
	return f
}

func (f *follower) said() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.lines, "\n")
}

// follow runs a follower in a manager of its own until the test ends.
func follow(t *testing.T, snapshot string) *follower {
	t.Helper()
	m, err := ctrl.NewManager(shared.Config, ctrl.Options{
		Scheme: kube.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := newFollower(m.GetCache(), snapshot, policy.Defaults{})
	if err := f.Register(m); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the manager ended with %v", err)
		}
	})
	return f
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func reference(t *testing.T, image string) imageref.Reference {
	t.Helper()
	ref, err := imageref.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func repository(name, repo string, interval v1alpha1.Interval) *v1alpha1.Repository {
	return &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.RepositorySpec{Name: repo, UpdateInterval: interval, PullSecretNames: []string{"hub"}},
	}
}

func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := shared.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := client.IgnoreNotFound(shared.Delete(context.Background(), object)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReconcile_FollowsObjectsAndRemembersThem(t *testing.T) {
	t.Parallel()
	snapshot := filepath.Join(t.TempDir(), "policies.json")
	f := follow(t, snapshot)
	ref := reference(t, "follow.test/team/app:v1")
	decide := func() policy.Decision { return f.current.Load().Decide(ref.Repository, ref.Tag) }
	named := func() bool { return f.current.Load().Named(ref.Repository, ref.Tag) }

	image := &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: "follow"}, Spec: v1alpha1.CachedImageSpec{SourceImage: ref.String()}}
	owner := repository("follow", "follow.test/team/app", "1h")
	create(t, owner, image)
	eventually(t, "the objects to be in force", func() bool { return named() && decide().Interval == time.Hour })
	if got := f.current.Load().PullSecrets(ref.Repository); len(got) != 1 || got[0] != "hub" {
		t.Errorf("its pull secrets are %v, want hub", got)
	}

	owner.Spec.UpdateInterval = "2h"
	if err := shared.Update(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the change to be in force", func() bool { return decide().Interval == 2*time.Hour })
	eventually(t, "the change to be remembered", func() bool {
		content, err := os.ReadFile(snapshot)
		return err == nil && strings.Contains(string(content), "2h") && strings.Contains(string(content), ref.String())
	})

	// Another process that cannot ask the API server.
	later := newFollower(nil, snapshot, policy.Defaults{})
	if err := later.Load(); err != nil {
		t.Fatal(err)
	}
	if set := later.current.Load(); set.Decide(ref.Repository, ref.Tag).Interval != 2*time.Hour || !set.Named(ref.Repository, ref.Tag) {
		t.Errorf("what is remembered is not in force")
	}
	if later.Told() {
		t.Errorf("it takes what it remembers for what the API server says")
	}

	if err := shared.Delete(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deletion to be in force", func() bool { return !named() })
}

func TestReconcile_AStatusChangesNothing(t *testing.T) {
	t.Parallel()
	f := follow(t, filepath.Join(t.TempDir(), "policies.json"))
	owner := repository("status", "status.test/team/app", "1h")
	create(t, owner)
	ref := reference(t, "status.test/team/app:v1")
	eventually(t, "the object to be in force", func() bool { return f.current.Load().Decide(ref.Repository, "v1").Check })
	update := changed().Update
	status := owner.DeepCopy()
	status.Status.Phase = v1alpha1.RepositoryReady
	if update(updated(owner, status)) {
		t.Errorf("a change of the status compiles the policies anew")
	}
	spec := owner.DeepCopy()
	spec.Generation++
	if !update(updated(owner, spec)) {
		t.Errorf("a change of the spec does not compile the policies anew")
	}
}

func TestReconcile_SaysOnceWhatIsNotInForce(t *testing.T) {
	t.Parallel()
	f := newFollower(nil, filepath.Join(t.TempDir(), "policies.json"), policy.Defaults{})
	two := objects{Repositories: []v1alpha1.Repository{*repository("one", "said.test/app", "1h"), *repository("two", "said.test/app", "2h")}}
	f.compile(two)
	f.compile(two)
	if said := f.said(); strings.Count(said, "not in force") != 1 || !strings.Contains(said, `"name"="two"`) {
		t.Errorf("it said:\n%s\nwant one line about two", said)
	}
	f.compile(objects{Repositories: two.Repositories[:1]})
	f.compile(two)
	if said := f.said(); strings.Count(said, "not in force") != 2 {
		t.Errorf("it said:\n%s\nwant another line once it stood again", said)
	}
}
