package trigger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
)

var asks = map[string]string{v1alpha1.AnnotationOnUpdate: "restart"}

// restartedFor is what a Deployment's template says now.
func restartedFor(t *testing.T, d *appsv1.Deployment) (digests, when string) {
	t.Helper()
	if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(d), d); err != nil {
		t.Fatal(err)
	}
	annotations := d.Spec.Template.Annotations
	return annotations[v1alpha1.AnnotationRestartedFor], annotations[annotationRestartedAt]
}

func TestTrigger_RestartsOnceAndOnlyAfterTheImageIsWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t, "once")
	d := r.deployment(corev1.PullAlways, asks)
	r.rolled(d, "1", one, time.Now())
	begin := r.clock
	old := since(one, begin.Add(-48*time.Hour))
	moving := v1alpha1.Revision{Digest: two, FirstSeen: metav1.NewTime(begin), LastSeen: metav1.NewTime(begin)}
	whole := moving
	whole.CompleteAt = new(metav1.NewTime(begin.Add(time.Hour)))

	stays := func(what string, want time.Duration) {
		t.Helper()
		if result := r.reconcile(d); result.RequeueAfter != want {
			t.Errorf("%s: it looks again after %v, want %v", what, result.RequeueAfter, want)
		}
		if digests, _ := restartedFor(t, d); digests != "" || r.writes.Load() != 0 {
			t.Errorf("%s: it was restarted for %q, with %d writes", what, digests, r.writes.Load())
		}
	}
	r.serves(old)
	stays("nothing moved", 0)
	r.serves(moving, old)
	r.clock = begin.Add(time.Hour)
	stays("the new revision is not whole", 0)
	r.serves(whole, old)
	stays("it is whole since this moment", time.Minute+lag)
	r.clock = begin.Add(time.Hour + time.Minute + lag)
	r.reconcile(d)
	digests, when := restartedFor(t, d)
	if digests != two || when != r.clock.Format(time.RFC3339) {
		t.Fatalf("it was restarted for %q at %q, want %s now", digests, when, two)
	}
	if got := r.events(); !strings.HasPrefix(got, "Normal Restarted once:1 is "+two) {
		t.Errorf("the events are %q", got)
	}
	for range 2 { // before its controller has seen it, and long after
		r.reconcile(d)
		r.clock = r.clock.Add(24 * time.Hour)
	}
	if n := r.writes.Load(); n != 1 {
		t.Errorf("%d writes, want one", n)
	}
}

// kubectl rollout undo takes the template back, and with it what it was restarted for. The revisions still know.
func TestTrigger_DoesNotUndoAPersonsUndo(t *testing.T) {
	t.Parallel()
	r := newRig(t, "undo")
	d := r.deployment(corev1.PullAlways, asks)
	r.rolled(d, "1", one, time.Now())
	r.serves(since(two, r.clock.Add(-time.Hour)), since(one, r.clock.Add(-48*time.Hour)))
	r.reconcile(d)
	if digests, _ := restartedFor(t, d); digests != two {
		t.Fatalf("it was restarted for %q, want %s", digests, two)
	}
	r.rolled(d, "2", two, time.Now())
	d.Spec.Template.Annotations = nil
	if err := cluster.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	var set appsv1.ReplicaSet
	if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: d.Namespace, Name: "web-1"}, &set); err != nil {
		t.Fatal(err)
	}
	set.Annotations[annotationRevision] = "3"
	if err := cluster.Update(t.Context(), &set); err != nil {
		t.Fatal(err)
	}
	r.clock = r.clock.Add(time.Hour)
	r.reconcile(d)
	if digests, _ := restartedFor(t, d); digests != "" {
		t.Errorf("after the undo it was restarted for %s again", digests)
	}
	third := "sha256:" + strings.Repeat("3", 64)
	r.serves(since(third, r.clock.Add(-time.Hour)), since(two, r.clock.Add(-2*time.Hour)), since(one, r.clock.Add(-48*time.Hour)))
	r.reconcile(d)
	if digests, _ := restartedFor(t, d); digests != third {
		t.Errorf("for the next revision it was restarted for %q, want %s", digests, third)
	}
}

func TestTrigger_PauseAndIntervalHoldIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, "held")
	d := r.deployment(corev1.PullAlways, map[string]string{
		v1alpha1.AnnotationOnUpdate: "restart", v1alpha1.AnnotationPaused: "true", v1alpha1.AnnotationRestartInterval: "3h",
	})
	r.rolled(d, "1", one, time.Now())
	r.serves(since(two, r.clock.Add(-time.Hour)), since(one, r.clock.Add(-48*time.Hour)))
	r.reconcile(d)
	if digests, _ := restartedFor(t, d); digests != "" {
		t.Errorf("paused, it was restarted for %s", digests)
	}
	delete(d.Annotations, v1alpha1.AnnotationPaused)
	d.Spec.Template.Annotations = at(r.clock.Add(-time.Hour)) // by a person
	if err := cluster.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if result := r.reconcile(d); result.RequeueAfter != 2*time.Hour {
		t.Errorf("it looks again after %v, want when the interval is over", result.RequeueAfter)
	}
	r.clock = r.clock.Add(2 * time.Hour)
	r.reconcile(d)
	if digests, _ := restartedFor(t, d); digests != two {
		t.Errorf("when the interval was over it was restarted for %q, want %s", digests, two)
	}
}

func TestTrigger_SaysWhatWouldNotPull(t *testing.T) {
	t.Parallel()
	r := newRig(t, "refused")
	repository := create(t, &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: "refused"}, Spec: v1alpha1.RepositorySpec{
		Name: "refused", OnUpdate: v1alpha1.OnUpdateRestart,
	}})
	d := r.deployment(corev1.PullIfNotPresent, nil)
	r.rolled(d, "1", one, time.Now())
	r.serves(since(two, r.clock.Add(-time.Hour)), since(one, r.clock.Add(-48*time.Hour)))
	for range 2 {
		r.reconcile(d, repository)
	}
	r.refresh()
	said := meta.FindStatusCondition(r.image.Status.Conditions, v1alpha1.ConditionWouldNotPull)
	if said == nil || said.Reason != v1alpha1.ReasonPullPolicy || !strings.Contains(said.Message, "Deployment "+d.Namespace+"/web: ") {
		t.Fatalf("the condition is %+v", said)
	}
	if got := r.events(); strings.Count(got, "WouldNotPull") != 1 || r.writes.Load() != 1 {
		t.Errorf("%d writes, and the events are %q, want one of each", r.writes.Load(), got)
	}
	repository.Spec.ResolveDigests = true
	if err := cluster.Update(t.Context(), repository); err != nil {
		t.Fatal(err)
	}
	r.reconcile(d, repository)
	if digests, _ := restartedFor(t, d); digests != two {
		t.Errorf("with resolveDigests it was restarted for %q, want %s", digests, two)
	}
	r.refresh()
	if said := meta.FindStatusCondition(r.image.Status.Conditions, v1alpha1.ConditionWouldNotPull); said != nil {
		t.Errorf("the condition still says %s", said.Message)
	}
}

// The condition names some of them. All are told, each once, also by the process that comes after.
func TestTrigger_ManyThatWouldNotPullAreToldOnceEach(t *testing.T) {
	t.Parallel()
	r := newRig(t, "crowd")
	all := r.superseded(listed+3, corev1.PullIfNotPresent)
	r.reconcile(all...)
	if n := strings.Count(r.events(), "WouldNotPull"); n != len(all) {
		t.Errorf("%d of %d were told", n, len(all))
	}
	r.refresh()
	said := meta.FindStatusCondition(r.image.Status.Conditions, v1alpha1.ConditionWouldNotPull)
	if said == nil || strings.Count(said.Message, "Deployment ") != listed || !strings.HasSuffix(said.Message, "; and 3 more") {
		t.Fatalf("the condition is %+v", said)
	}
	for range 5 { // a cache lists them in another order each time
		r.reconcile(all...)
	}
	options := r.o
	options.Metrics = prometheus.NewRegistry()
	next, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	r.Reconciler = next
	r.reconcile(all...)
	if again := r.events(); again != "" || r.writes.Load() != 1 {
		t.Errorf("%d writes, want one, and later events %q", r.writes.Load(), again)
	}
	late := r.deployment(corev1.PullIfNotPresent, asks)
	r.rolled(late, "1", one, time.Now())
	r.reconcile(append(all, late)...)
	if n := strings.Count(r.events(), "WouldNotPull"); n != 1 {
		t.Errorf("%d were told when one was added, want that one", n)
	}
}

func TestTrigger_StatefulSetsAndDaemonSets(t *testing.T) {
	t.Parallel()
	r := newRig(t, "sets")
	namespace := create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}).Name
	selector, template := &metav1.LabelSelector{MatchLabels: labels}, r.template(corev1.PullAlways)
	stateful := create(t, &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "db", Annotations: asks},
		Spec:       appsv1.StatefulSetSpec{Selector: selector, Template: template},
	})
	daemon := create(t, &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "agent", Annotations: asks},
		Spec:       appsv1.DaemonSetSpec{Selector: selector, Template: template},
	})
	known := create(t, &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "known", Annotations: asks},
		Spec:       appsv1.DaemonSetSpec{Selector: selector, Template: template},
	})
	for kind, owner := range map[string]client.Object{"StatefulSet": stateful, "DaemonSet": daemon, "DaemonSet/": known} {
		ref := metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind(strings.TrimSuffix(kind, "/")))
		r.runs(namespace, ref, one, time.Now())
		data := `{}`
		if owner == known {
			data = fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{%q:%q}}}}}`, v1alpha1.AnnotationRestartedFor, two)
		}
		create(t, &appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: owner.GetName() + "-1", Labels: labels, OwnerReferences: []metav1.OwnerReference{*ref}},
			Data:       runtime.RawExtension{Raw: []byte(data)}, Revision: 1,
		})
	}
	r.serves(since(two, r.clock.Add(-time.Hour)), since(one, r.clock.Add(-48*time.Hour)))
	r.reconcile(stateful, daemon, known)
	for _, w := range []struct {
		object   client.Object
		template *corev1.PodTemplateSpec
		want     string
	}{{stateful, &stateful.Spec.Template, two}, {daemon, &daemon.Spec.Template, two}, {known, &known.Spec.Template, ""}} {
		if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(w.object), w.object); err != nil {
			t.Fatal(err)
		}
		if got := w.template.Annotations[v1alpha1.AnnotationRestartedFor]; got != w.want {
			t.Errorf("%s was restarted for %q, want %q", w.object.GetName(), got, w.want)
		}
	}
}

// Two leaders for a moment, one of which has read what the other has changed since.
func TestTrigger_TwoLeadersRestartOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "leaders")
	d := r.deployment(corev1.PullAlways, asks)
	r.rolled(d, "1", one, time.Now())
	r.serves(since(two, r.clock.Add(-time.Hour)), since(one, r.clock.Add(-48*time.Hour)))
	r.reconcile(d) // so that the cache knows all
	_, when := restartedFor(t, d)
	stale, err := r.read(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	d.Labels = map[string]string{"changed": "since"}
	if err := cluster.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	r.clock = r.clock.Add(time.Minute)
	goal, err := r.targetOf(t.Context(), r.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.restart(t.Context(), &pass{image: r.image, now: r.clock}, stale, []*target{goal}); err == nil {
		t.Error("a workload was restarted that changed since it was read")
	}
	if _, again := restartedFor(t, d); again != when {
		t.Errorf("it was restarted at %s, and again at %s", when, again)
	}
}

// An image that many workloads use does not have all of them start at once.
func TestTrigger_ManyWorkloadsAreRestartedSomeAtATime(t *testing.T) {
	t.Parallel()
	r := newRig(t, "many")
	all := r.superseded(burst+2, corev1.PullAlways)
	if result := r.reconcile(all...); result.RequeueAfter != breath || r.writes.Load() != burst {
		t.Errorf("%d were restarted, and it looks again after %v", r.writes.Load(), result.RequeueAfter)
	}
	if result := r.reconcile(all...); result.RequeueAfter != 0 || r.writes.Load() != burst+2 {
		t.Errorf("%d were restarted in all, and it looks again after %v", r.writes.Load(), result.RequeueAfter)
	}
}
