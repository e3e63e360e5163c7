package trigger

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

const proxy = "localhost:7439"

var (
	scope  = usage.Scope{Proxy: proxy}
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	one    = "sha256:" + strings.Repeat("1", 64)
	two    = "sha256:" + strings.Repeat("2", 64)
	arm64  = "sha256:" + strings.Repeat("a", 64) // a manifest of a platform
	behind = proxy + "/docker.io/library/"
)

func since(digest string, at time.Time) v1alpha1.Revision {
	return v1alpha1.Revision{
		Digest: digest, FirstSeen: metav1.NewTime(at), LastSeen: metav1.NewTime(at), CompleteAt: new(metav1.NewTime(at)), Cause: v1alpha1.RevisionChecked,
	}
}

// situation is a Deployment whose image moved at noon, from one to two.
type situation struct {
	image       string // of its pods; by default behind the proxy, with a digest
	imageID     string // as the runtime tells it
	started     time.Duration
	waiting     bool // the container does not run yet
	policy      corev1.PullPolicy
	annotations map[string]string
	template    map[string]string // annotations
	remembered  string            // by a revision
	created     time.Duration     // of the revision in force
	history     []v1alpha1.Revision
	onUpdate    v1alpha1.OnUpdate
	resolves    bool
	onDelete    bool
	paused      bool
	now         time.Duration // after noon
}

func (s situation) decide() decision {
	object := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Annotations: s.annotations}}
	object.Spec.Template.Annotations = s.template
	object.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "nginx:1", ImagePullPolicy: s.policy}}
	w := &workload{
		object: object, kind: "Deployment", template: &object.Spec.Template, paused: s.paused, onDelete: s.onDelete,
		created: noon.Add(s.created), restarts: map[string]bool{},
	}
	w.remember(map[string]string{v1alpha1.AnnotationRestartedFor: s.remembered})
	pod := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: s.image, ImagePullPolicy: s.policy}}}}
	if !s.waiting {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", ImageID: s.imageID, State: corev1.ContainerState{
			Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(noon.Add(s.started))},
		}}}
	}
	w.pods = []corev1.Pod{pod}
	t := &target{ref: imageref.Reference{Repository: imageref.Repository{Host: "docker.io", Path: "library/nginx"}, Tag: "1"},
		history: s.history, onUpdate: s.onUpdate, resolves: s.resolves, due: noon.Add(time.Minute + lag)}
	return decide(w, scope, []*target{t}, noon.Add(s.now))
}

func TestDecide(t *testing.T) {
	t.Parallel()
	restart := map[string]string{v1alpha1.AnnotationOnUpdate: "restart"}
	moved := []v1alpha1.Revision{since(two, noon), since(one, noon.Add(-time.Hour))}
	back := []v1alpha1.Revision{since(one, noon), since(two, noon.Add(-time.Hour)), since(one, noon.Add(-2*time.Hour))}
	pinned := []v1alpha1.Revision{since(two, noon), since(one, noon.Add(-time.Hour))}
	pinned[0].Cause = v1alpha1.RevisionPinned
	for name, tt := range map[string]struct {
		change func(*situation)
		want   string // restart, a reason, how long to wait, or nothing
	}{
		"It asks, and runs what was superseded": {func(*situation) {}, "restart"},
		"Its Repository asks for it":            {func(s *situation) { s.annotations, s.onUpdate = nil, v1alpha1.OnUpdateRestart }, "restart"},
		"Nobody asks":                           {func(s *situation) { s.annotations = nil }, ""},
		"Its Repository says None":              {func(s *situation) { s.annotations, s.onUpdate = nil, v1alpha1.OnUpdateNone }, ""},
		"It says none, its Repository asks": {func(s *situation) {
			s.annotations, s.onUpdate = map[string]string{v1alpha1.AnnotationOnUpdate: "none"}, v1alpha1.OnUpdateRestart
		}, ""},
		"The new revision has not settled":           {func(s *situation) { s.now = time.Minute }, ""},
		"Paused":                                     {func(s *situation) { s.paused = true }, ""},
		"It runs the new one, as its spec says":      {func(s *situation) { s.image = behind + "nginx:1@" + two }, ""},
		"Its spec names the old one":                 {func(s *situation) { s.imageID, s.waiting = "", true }, "restart"},
		"It was restarted for it":                    {func(s *situation) { s.remembered = two }, ""},
		"Before, for another":                        {func(s *situation) { s.remembered = one }, "restart"},
		"It was rolled after the move by somebody":   {func(s *situation) { s.created = 2 * time.Minute }, ""},
		"Rolled, but too early to get the new one":   {func(s *situation) { s.created = time.Minute }, "restart"},
		"Restarted a moment ago":                     {func(s *situation) { s.template = at(noon.Add(58 * time.Minute)) }, "8m0s"},
		"Restarted a moment ago, with an own pace":   {func(s *situation) { s.template, s.annotations = at(noon.Add(58*time.Minute)), with(restart, "2m") }, "restart"},
		"With a pace that nobody can read":           {func(s *situation) { s.template, s.annotations = at(noon.Add(58*time.Minute)), with(restart, "soon") }, "8m0s"},
		"Restarted long ago":                         {func(s *situation) { s.template = at(noon) }, "restart"},
		"A person pins, as before":                   {func(s *situation) { s.history, s.remembered = pinned, two }, "restart"},
		"A pin for which it was restarted":           {func(s *situation) { s.history, s.remembered = pinned, two+"/2026-03-01T12:00:00Z" }, ""},
		"By tag, with IfNotPresent":                  {func(s *situation) { s.byTag(); s.resolves = false }, v1alpha1.ReasonPullPolicy},
		"By tag, and Never":                          {func(s *situation) { s.byTag(); s.policy = corev1.PullNever }, v1alpha1.ReasonPullPolicy},
		"By tag, with Always":                        {func(s *situation) { s.byTag(); s.resolves, s.policy = false, corev1.PullAlways }, "restart"},
		"By tag until now, resolved from now on":     {func(s *situation) { s.byTag() }, "restart"},
		"Resolved, but its pods are not rewritten":   {func(s *situation) { s.byTag(); s.image = "nginx:1" }, v1alpha1.ReasonPullPolicy},
		"It replaces no pods by itself":              {func(s *situation) { s.onDelete = true }, v1alpha1.ReasonOnDelete},
		"By tag, it runs the new one":                {func(s *situation) { s.byTag(); s.imageID = "docker.io/library/nginx@" + two }, ""},
		"By tag, it does not run yet":                {func(s *situation) { s.byTag(); s.waiting = true }, ""},
		"A platform's digest, from before the move":  {func(s *situation) { s.byTag(); s.imageID = "x@" + arm64 }, "restart"},
		"A platform's digest, from after the move":   {func(s *situation) { s.byTag(); s.imageID, s.started = "x@"+arm64, time.Minute }, ""},
		"A platform's digest, and it moved back":     {func(s *situation) { s.byTag(); s.history, s.imageID, s.started = back, "x@"+arm64, -90*time.Minute }, ""},
		"A platform's digest, of between":            {func(s *situation) { s.byTag(); s.history, s.imageID, s.started = back, "x@"+arm64, -30*time.Minute }, "restart"},
		"A platform's digest, older than all known":  {func(s *situation) { s.byTag(); s.imageID, s.started = "x@"+arm64, -24*time.Hour }, "restart"},
		"An ID of an image, from before the move":    {func(s *situation) { s.byTag(); s.imageID = arm64 }, "restart"},
		"Another image, that its owner named by tag": {func(s *situation) { s.image = behind + "nginx:2@" + one }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := situation{
				image: behind + "nginx:1@" + one, imageID: "localhost:7439/docker.io/library/nginx@" + one, started: -30 * time.Minute,
				policy: corev1.PullIfNotPresent, annotations: restart, created: -time.Hour, history: moved, resolves: true, now: time.Hour,
			}
			tt.change(&s)
			d := s.decide()
			var got string
			switch {
			case len(d.restart) > 0:
				got = "restart"
			case d.after > 0:
				got = d.after.String()
			}
			for _, reason := range d.wouldNot {
				got += reason
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// byTag has the pods run the image by its tag.
func (s *situation) byTag() { s.image = behind + "nginx:1" }

func at(restarted time.Time) map[string]string {
	return map[string]string{annotationRestartedAt: restarted.Format(time.RFC3339)}
}

func with(annotations map[string]string, interval string) map[string]string {
	more := map[string]string{v1alpha1.AnnotationRestartInterval: interval}
	maps.Copy(more, annotations)
	return more
}
