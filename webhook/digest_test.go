package webhook_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/rewrite"
	"github.com/larder-dev/larder/webhook"
)

var (
	first  = "sha256:" + strings.Repeat("1", 64)
	second = "sha256:" + strings.Repeat("2", 64)
)

// newReplicas is a world in which two webhooks answer in turn, each with a view of its own.
func newReplicas(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, namespace: namespace(t, nil), registry: prometheus.NewRegistry()}
	var handlers [2]*webhook.Handler
	for i := range handlers {
		rules, _ := rewrite.NewRules(proxy, "larder-system", rewrite.Config{})
		view, registry := newView(t), prometheus.NewRegistry()
		var err error
		handlers[i], err = webhook.New(webhook.Options{
			Rules: rules, Digests: digests(t, view, registry).Of, Metrics: registry, Log: logr.Discard(),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var turn atomic.Int64
	w.ask(serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handlers[turn.Add(1)%2].ServeHTTP(rw, r)
	})))
	eventually(t, "the API server to ask", func() bool { return w.try(nil, "nginx:1") == behind+"nginx:1" })
	return w
}

// try returns what the image of a pod becomes that would be created; owner may change the pod.
func (w *world) try(owner func(*corev1.Pod), image string) string {
	w.t.Helper()
	pod := w.pod("", container("c", image))
	pod.GenerateName = "pod-"
	if owner != nil {
		owner(pod)
	}
	w.create(pod, client.DryRunAll)
	return pod.Spec.Containers[0].Image
}

// both says whether each of two replicas makes the same of the image of a pod.
func (w *world) both(owner func(*corev1.Pod), image, want string) bool {
	first, second := w.try(owner, image), w.try(owner, image)
	return first == want && second == want
}

// resolving has the tags of a repository of the test's own resolved, and returns its name; its tag 1 has a history.
func resolving(t *testing.T, w *world, history ...v1alpha1.Revision) string {
	t.Helper()
	name := w.namespace + strings.ReplaceAll(strings.ToLower(t.Name()), "_", "")
	name = strings.ReplaceAll(name, "/", "")
	create(t, &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.RepositorySpec{Name: name, ResolveDigests: true}})
	image := create(t, &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CachedImageSpec{SourceImage: name + ":1"}})
	tell(t, image, history...)
	return name
}

// tell writes the history of an image, as the registry does.
func tell(t *testing.T, image *v1alpha1.CachedImage, history ...v1alpha1.Revision) {
	t.Helper()
	image.Status.History = history
	if err := cluster.Status().Update(t.Context(), image); err != nil {
		t.Fatal(err)
	}
}

// since is a revision that is current and complete since a time.
func since(digest string, at time.Time) v1alpha1.Revision {
	return v1alpha1.Revision{Digest: digest, FirstSeen: metav1.NewTime(at), LastSeen: metav1.NewTime(at), CompleteAt: new(metav1.NewTime(at))}
}

func create[T client.Object](t *testing.T, object T) T {
	t.Helper()
	if err := cluster.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	return object
}

// replicaSet creates one of which no controller makes pods, and returns what makes a pod one of its.
func (w *world) replicaSet() (*appsv1.ReplicaSet, func(*corev1.Pod)) {
	w.t.Helper()
	labels := map[string]string{"app": "a"}
	set := create(w.t, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, GenerateName: "web-"},
		Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{container("c", "nginx:1")}},
		}},
	})
	return set, owned(set, "apps/v1", "ReplicaSet", "")
}

func owned(owner client.Object, version, kind, hash string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: version, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: new(true)}}
		pod.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: hash}
	}
}

func TestDigest_TwoReplicasGiveAllPodsOfARevisionTheSame(t *testing.T) {
	t.Parallel()
	w := newReplicas(t)
	old, ofOld := w.replicaSet()
	created := old.CreationTimestamp.Time
	// Current for a minute only a second after the ReplicaSet was created.
	image := resolving(t, w, since(second, created.Add(time.Second-time.Minute)), since(first, created.Add(-time.Hour)))
	want := behind + image + ":1@" + first
	eventually(t, "both replicas to know the image", func() bool { return w.both(ofOld, image+":1", want) })
	for range 10 {
		if got := w.try(ofOld, image+":1"); got != want {
			t.Errorf("a pod of the old revision has %s, want %s", got, want)
		}
	}
	var ofNew func(*corev1.Pod)
	eventually(t, "a second to pass at the API server", func() bool {
		set, pods := w.replicaSet()
		ofNew = pods
		return set.CreationTimestamp.After(created.Add(time.Second))
	})
	for range 10 { // the first of them while no cache can know their owner yet
		if got, want := w.try(ofNew, image+":1"), behind+image+":1@"+second; got != want {
			t.Errorf("a pod of a new revision has %s, want %s", got, want)
		}
	}
	if got := w.try(ofOld, image+":2"); got != behind+image+":2" {
		t.Errorf("a tag of which nothing is known became %s", got)
	}
	if got, want := w.try(nil, image+":1"), behind+image+":1@"; !strings.HasPrefix(got, want) {
		t.Errorf("a bare pod has %s, want a digest", got)
	}
}

func TestDigest_StaysWhenItsHistoryIsGone(t *testing.T) {
	t.Parallel()
	w := newReplicas(t)
	_, ofSet := w.replicaSet()
	image := resolving(t, w, since(first, time.Now().Add(-time.Hour)))
	want := behind + image + ":1@" + first
	eventually(t, "the replicas to know the image", func() bool { return w.both(ofSet, image+":1", want) })
	pod := w.pod("running", container("c", image+":1"))
	ofSet(pod)
	w.create(pod)
	if got, want := pod.Annotations[rewrite.AnnotationOriginals], `{"c":"`+image+`:1"}`; got != want {
		t.Errorf("the originals are %s, want %s", got, want)
	}
	var object v1alpha1.CachedImage
	if err := cluster.Get(t.Context(), client.ObjectKey{Name: image}, &object); err != nil {
		t.Fatal(err)
	}
	tell(t, &object, since(second, time.Now().Add(-time.Hour)))
	_, ofOther := w.replicaSet()
	other := behind + image + ":1@" + second
	eventually(t, "the replicas to know its new history", func() bool { return w.both(ofOther, image+":1", other) })
	for range 4 {
		if got := w.try(ofSet, image+":1"); got != want {
			t.Errorf("a pod beside one that runs %s has %s", want, got)
		}
	}
}

func TestDigest_OfEveryKindOfOwner(t *testing.T) {
	t.Parallel()
	w := newReplicas(t)
	image := resolving(t, w, since(first, time.Now().Add(-time.Hour)))
	revision := func(name string, uid client.Object, kind string) {
		create(t, &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{
			Namespace: w.namespace, Name: name,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: uid.GetName(), UID: uid.GetUID(), Controller: new(true)}},
		}, Data: runtime.RawExtension{Raw: []byte(`{}`)}})
	}
	stateful := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "db", UID: "1"}}
	daemon := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "agent", UID: "2"}}
	revision("db-6d9f7b", stateful, "StatefulSet")
	revision("agent-5c8d", daemon, "DaemonSet")
	job := create(t, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "once"}, Spec: batchv1.JobSpec{
		Suspend: new(true), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{container("c", image+":1")},
		}},
	}})
	set, _ := w.replicaSet()
	resolved, tag := behind+image+":1@"+first, behind+image+":1"
	eventually(t, "the replicas to know the image", func() bool { return w.both(nil, image+":1", resolved) })
	gone := set.DeepCopy()
	gone.UID = "gone"
	for name, tt := range map[string]struct {
		owner func(*corev1.Pod)
		want  string
	}{
		"A ReplicaSet":                            {owned(set, "apps/v1", "ReplicaSet", ""), resolved},
		"A StatefulSet":                           {owned(stateful, "apps/v1", "StatefulSet", "db-6d9f7b"), resolved},
		"A DaemonSet":                             {owned(daemon, "apps/v1", "DaemonSet", "5c8d"), resolved},
		"A Job":                                   {owned(job, "batch/v1", "Job", ""), resolved},
		"A controller without revisions":          {owned(set, "example.com/v1", "Sandbox", ""), resolved},
		"A ReplicaSet that was replaced":          {owned(gone, "apps/v1", "ReplicaSet", ""), tag},
		"A revision that is gone":                 {owned(daemon, "apps/v1", "DaemonSet", "none"), tag},
		"A revision of another DaemonSet":         {owned(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "agent", UID: "3"}}, "apps/v1", "DaemonSet", "5c8d"), tag},
		"A ReplicaSet that the API server forgot": {owned(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "none", UID: "4"}}, "apps/v1", "ReplicaSet", ""), tag},
	} {
		for range 2 { // both replicas
			if got := w.try(tt.owner, image+":1"); got != tt.want {
				t.Errorf("%s: its pod has %s, want %s", name, got, tt.want)
			}
		}
	}
}

func TestDigest_OnlyWhereTheRepositoryInForceSaysSo(t *testing.T) {
	t.Parallel()
	w := newReplicas(t)
	image := resolving(t, w, since(first, time.Now().Add(-time.Hour)))
	resolved := behind + image + ":1@" + first
	eventually(t, "the replicas to know the image", func() bool { return w.both(nil, image+":1", resolved) })
	var repository v1alpha1.Repository
	if err := cluster.Get(t.Context(), client.ObjectKey{Name: image}, &repository); err != nil {
		t.Fatal(err)
	}
	repository.Spec.ResolveDigests = false
	if err := cluster.Update(t.Context(), &repository); err != nil {
		t.Fatal(err)
	}
	create(t, &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: image + "-younger"}, Spec: v1alpha1.RepositorySpec{Name: image, ResolveDigests: true}})
	tag := behind + image + ":1"
	eventually(t, "the tag to stay a tag", func() bool { return w.both(nil, image+":1", tag) })
}
