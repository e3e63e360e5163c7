package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
)

func updated(from, to client.Object) event.UpdateEvent {
	return event.UpdateEvent{ObjectOld: from, ObjectNew: to}
}

func TestLoad_WithoutASnapshotTheDefaultsHold(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	ref := reference(t, "load.test/team/app:v1")
	for name, tt := range map[string]struct {
		text string
		err  bool
	}{
		"There is none":    {},
		"It is cut off":    {`{"repositories":[{"metadata":{"na`, true},
		"It is empty":      {" ", true},
		"It is of no kind": {`[]`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "policies.json")
			if tt.text != "" {
				if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			f := newFollower(nil, path, policy.Defaults{Interval: &hour})
			if err := f.Load(); (err != nil) != tt.err {
				t.Errorf("got %v, want an error: %v", err, tt.err)
			}
			if got := f.current.Load().Decide(ref.Repository, ref.Tag).Interval; got != hour {
				t.Errorf("the interval in force is %v, want the default", got)
			}
		})
	}
}

func TestSnapshot_IsWrittenSeldom(t *testing.T) {
	t.Parallel()
	s := snapshot{path: filepath.Join(t.TempDir(), "policies.json")}
	now := time.Now()
	write := func(o objects, after time.Duration) (time.Duration, bool) {
		t.Helper()
		before, _ := os.Stat(s.path)
		wait, err := s.write(o, now.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		is, _ := os.Stat(s.path)
		return wait, before == nil || !os.SameFile(before, is) // each write is another file
	}
	one := objects{Repositories: []v1alpha1.Repository{*repository("a", "a", "1h"), *repository("b", "b", "1h")}}
	if wait, wrote := write(one, 0); wait != 0 || !wrote {
		t.Errorf("the first time: wait %v, written: %v", wait, wrote)
	}
	same := objects{Repositories: slices.Clone(one.Repositories)}
	slices.Reverse(same.Repositories)
	same.Repositories[0].Status.Phase, same.Repositories[0].ResourceVersion = v1alpha1.RepositoryReady, "7"
	if wait, wrote := write(same, time.Minute); wait != 0 || wrote {
		t.Errorf("the same in another order and state: wait %v, written: %v", wait, wrote)
	}
	two := objects{Repositories: one.Repositories[:1]}
	if wait, wrote := write(two, snapshotEvery-time.Second); wait != time.Second || wrote {
		t.Errorf("a change too early: wait %v, written: %v", wait, wrote)
	}
	if wait, wrote := write(two, snapshotEvery); wait != 0 || !wrote {
		t.Errorf("a change in time: wait %v, written: %v", wait, wrote)
	}
	if entries, err := os.ReadDir(filepath.Dir(s.path)); err != nil || len(entries) != 1 {
		t.Errorf("beside the snapshot there is something: %v (%v)", entries, err)
	}
}

func BenchmarkReconcile_ThreeThousandImages(b *testing.B) {
	var o objects
	for i := range 3000 {
		repo := fmt.Sprintf("bench.test/team/app%d", i)
		o.Repositories = append(o.Repositories, *repository(fmt.Sprintf("r%d", i), repo, "1h"))
		o.CachedImages = append(o.CachedImages, v1alpha1.CachedImage{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("i%d", i)}, Spec: v1alpha1.CachedImageSpec{SourceImage: repo + ":v1"},
		})
	}
	f := newFollower(nil, filepath.Join(b.TempDir(), "policies.json"), policy.Defaults{})
	for b.Loop() {
		f.compile(o)
		if _, err := f.snapshot.write(o, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
