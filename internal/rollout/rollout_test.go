package rollout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/rollout"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func named(letter string) digest.Digest { return digest.Digest("sha256:" + strings.Repeat(letter, 64)) }

// revision became current some minutes after noon, and was complete some minutes after that; never where complete is negative.
func revision(letter string, current, complete int) v1alpha1.Revision {
	r := v1alpha1.Revision{Digest: named(letter).String(), FirstSeen: at(current)}
	if complete >= 0 {
		r.CompleteAt = new(at(current + complete))
	}
	return r
}

func at(minute int) metav1.Time { return metav1.NewTime(noon.Add(time.Duration(minute) * time.Minute)) }

func TestResolve(t *testing.T) {
	t.Parallel()
	moved := []v1alpha1.Revision{revision("c", 30, -1), revision("b", 10, 5), revision("a", 0, 0)}
	back := []v1alpha1.Revision{revision("a", 20, 0), revision("b", 10, 0), revision("a", 0, 0)}
	for name, tt := range map[string]struct {
		history []v1alpha1.Revision
		created time.Duration // after noon
		want    digest.Digest
	}{
		"Nothing is known":                              {nil, time.Hour, ""},
		"Before the tag was known":                      {moved, -time.Hour, ""},
		"Less than a minute after it was known":         {moved, 59 * time.Second, ""},
		"A minute after it was known":                   {moved, time.Minute, named("a")},
		"Moved, but not a minute ago":                   {moved, 10*time.Minute + 30*time.Second, named("a")},
		"Moved, and not complete yet":                   {moved, 14 * time.Minute, named("a")},
		"Complete, but not a minute ago":                {moved, 15*time.Minute + 59*time.Second, named("a")},
		"Complete for a minute":                         {moved, 16 * time.Minute, named("b")},
		"The newest never became complete":              {moved, 24 * time.Hour, named("b")},
		"Months ago, as it was then":                    {moved, 12 * time.Minute, named("a")},
		"A digest that is current again":                {back, time.Hour, named("a")},
		"Between the two times that it was":             {back, 15 * time.Minute, named("b")},
		"A digest that nobody can read":                 {[]v1alpha1.Revision{{Digest: "x", FirstSeen: at(0), CompleteAt: new(at(0))}}, time.Hour, ""},
		"What became complete before it became current": {[]v1alpha1.Revision{revision("b", 10, 0), revision("a", 0, 0)}, 11 * time.Minute, named("b")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := rollout.Resolve(tt.history, noon.Add(tt.created)); got != tt.want {
				t.Errorf("it gets %q, want %q", got, tt.want)
			}
		})
	}
}

// Whatever happens to the tag later, and whatever else the history forgets, a revision of a workload gets the same digest.
func TestResolve_NeverChanges(t *testing.T) {
	t.Parallel()
	created := noon.Add(12 * time.Minute)
	history := []v1alpha1.Revision{revision("b", 13, 0), revision("a", 10, 1), revision("0", 0, 0)}
	for _, later := range [][]v1alpha1.Revision{
		history, append([]v1alpha1.Revision{revision("c", 14, 2), revision("a", 13, 0)}, history...), history[1:], history[1:2],
	} {
		if got := rollout.Resolve(later, created); got != named("a") {
			t.Errorf("of %d revisions it gets %s, want %s", len(later), got, named("a"))
		}
	}
}

func TestKept_ReadsWhatIsFormatted(t *testing.T) {
	t.Parallel()
	text := rollout.FormatKept([]digest.Digest{named("b"), named("a"), named("b")})
	if want := named("a").String() + "," + named("b").String(); text != want {
		t.Fatalf("it is written as %s, want %s", text, want)
	}
	image := &v1alpha1.CachedImage{}
	if got := rollout.Kept(image); got != nil {
		t.Errorf("without the annotation %v are kept", got)
	}
	image.Annotations = map[string]string{v1alpha1.AnnotationKeptDigests: text + ",nonsense"}
	if diff := cmp.Diff([]digest.Digest{named("a"), named("b")}, rollout.Kept(image)); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if got := rollout.FormatKept(nil); got != "" {
		t.Errorf("nothing is written as %q", got)
	}
}

func TestOwnerOf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		version, kind, hash string
		want                string // kind and name; empty: none
	}{
		"A ReplicaSet":                        {"apps/v1", "ReplicaSet", "", "ReplicaSet web"},
		"A StatefulSet's pod":                 {"apps/v1", "StatefulSet", "web-6d9f7b", "ControllerRevision web-6d9f7b"},
		"A DaemonSet's pod":                   {"apps/v1", "DaemonSet", "6d9f7b", "ControllerRevision web-6d9f7b"},
		"A Job":                               {"batch/v1", "Job", "", "Job web"},
		"A DaemonSet's pod without label":     {"apps/v1", "DaemonSet", "", ""},
		"A ReplicationController":             {"v1", "ReplicationController", "", ""},
		"Somebody else's kind of StatefulSet": {"apps.example.com/v1", "StatefulSet", "web-6d9f7b", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Labels:          map[string]string{appsv1.ControllerRevisionHashLabelKey: tt.hash},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: tt.version, Kind: tt.kind, Name: "web", UID: "1", Controller: new(true)}},
			}}
			got, ok := rollout.OwnerOf(pod)
			if ok != (tt.want != "") || ok && got.Kind.Kind+" "+got.Name != tt.want {
				t.Fatalf("the owner is %+v, want %s", got, tt.want)
			}
			if !ok {
				return
			}
			mine := &metav1.ObjectMeta{UID: "1"}
			if got.Kind.Kind == "ControllerRevision" {
				mine = &metav1.ObjectMeta{UID: "2", OwnerReferences: pod.OwnerReferences}
			}
			if !got.Is(mine) || got.Is(&metav1.ObjectMeta{UID: types.UID("3")}) {
				t.Errorf("it is not told from another object of its name")
			}
		})
	}
	if owner, ok := rollout.OwnerOf(&corev1.Pod{}); ok {
		t.Errorf("a bare pod has the owner %+v", owner)
	}
}
