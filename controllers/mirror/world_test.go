package mirror_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
)

// image makes a CachedImage of reg.example, with labels: names and values in turn.
func (r *rig) image(name, reference string, labels ...string) *v1alpha1.CachedImage {
	r.t.Helper()
	if !strings.Contains(reference, ".example/") {
		reference = host + "/" + reference
	}
	object := &v1alpha1.CachedImage{
		ObjectMeta: metav1.ObjectMeta{Name: name + "." + r.id, Labels: map[string]string{testLabel: r.id}},
		Spec:       v1alpha1.CachedImageSpec{SourceImage: reference},
	}
	for i := 0; i+1 < len(labels); i += 2 {
		object.Labels[labels[i]] = labels[i+1]
	}
	r.must(cluster.Create(r.t.Context(), object))
	r.t.Cleanup(func() { // whoever held it has stopped by then, or lets it go
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = cluster.Patch(ctx, object, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))
		_ = cluster.Delete(ctx, object)
	})
	return object
}

func (r *rig) pod(name, reference string) *corev1.Pod {
	r.t.Helper()
	ref, err := imageref.Parse(reference)
	r.must(err)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name + "." + r.id, Labels: map[string]string{testLabel: r.id}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: ref.Rewrite(proxy)}}},
	}
	r.must(cluster.Create(r.t.Context(), pod))
	return pod
}

func (r *rig) node(name, architecture string) {
	r.t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name + "." + r.id, Labels: map[string]string{testLabel: r.id}}}
	r.must(cluster.Create(r.t.Context(), node))
	node.Status.NodeInfo.OperatingSystem, node.Status.NodeInfo.Architecture = "linux", architecture
	r.must(cluster.Status().Update(r.t.Context(), node))
}

// policies puts a Repository in force, as another controller does.
func (r *rig) policy(spec v1alpha1.RepositorySpec) {
	r.t.Helper()
	set, problems := policy.Compile([]v1alpha1.Repository{{Spec: spec}}, nil, policy.Defaults{})
	if len(problems) > 0 {
		r.t.Fatal(problems)
	}
	r.current.Store(set)
}

// get reads an object anew; it is nil where it is gone.
func (r *rig) get(object *v1alpha1.CachedImage) *v1alpha1.CachedImage {
	r.t.Helper()
	found := &v1alpha1.CachedImage{}
	err := cluster.Get(r.t.Context(), client.ObjectKeyFromObject(object), found)
	if client.IgnoreNotFound(err) != nil {
		r.t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return found
}

// eventually waits until ok holds of an object, and returns it.
func (r *rig) eventually(object *v1alpha1.CachedImage, what string, ok func(*v1alpha1.CachedImage) bool) *v1alpha1.CachedImage {
	r.t.Helper()
	var last *v1alpha1.CachedImage
	r.until(func() string {
		if last == nil {
			return object.Name + " never existed"
		}
		return fmt.Sprintf("%s to be %s; its status is %+v", object.Name, what, last.Status)
	}, func() bool {
		last = r.get(object)
		return last != nil && ok(last)
	})
	return last
}

func (r *rig) until(what func() string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain for %s", what())
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-r.t.Context().Done():
			r.t.FailNow()
		}
	}
}

func (r *rig) gone(object *v1alpha1.CachedImage) {
	r.t.Helper()
	r.until(func() string { return object.Name + " to go" }, func() bool { return r.get(object) == nil })
}

func inPhase(phase v1alpha1.CachedImagePhase) func(*v1alpha1.CachedImage) bool {
	return func(object *v1alpha1.CachedImage) bool { return object.Status.Phase == phase }
}

// ready waits for an image to be stored whole.
func (r *rig) ready(object *v1alpha1.CachedImage) *v1alpha1.CachedImage {
	r.t.Helper()
	return r.eventually(object, "ready", inPhase(v1alpha1.CachedImageReady))
}

func (r *rig) failed(object *v1alpha1.CachedImage, reason string) *v1alpha1.CachedImage {
	r.t.Helper()
	found := r.eventually(object, "failed with "+reason, func(object *v1alpha1.CachedImage) bool {
		c := condition(object, v1alpha1.ConditionReady)
		return object.Status.Phase == v1alpha1.CachedImageFailed && c.Reason == reason
	})
	return found
}

func condition(object *v1alpha1.CachedImage, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(object.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// is compares a condition's status and reason: "True Mirrored"; empty where there is none.
func is(object *v1alpha1.CachedImage, kind string) string {
	c := condition(object, kind)
	return strings.TrimSpace(string(c.Status) + " " + c.Reason)
}

// annotate sets an annotation: any has the object reconciled.
func (r *rig) annotate(object *v1alpha1.CachedImage, key, value string) {
	r.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value)
	r.must(cluster.Patch(r.t.Context(), object.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(patch))))
}

// refresh asks for a check, and waits until it was made.
func (r *rig) refresh(object *v1alpha1.CachedImage, value string) *v1alpha1.CachedImage {
	r.t.Helper()
	r.annotate(object, v1alpha1.AnnotationRefresh, value)
	return r.eventually(object, "refreshed", func(object *v1alpha1.CachedImage) bool { return object.Status.LastHandledRefresh == value })
}

// events lists the reasons of the events about an object, with their notes.
func (r *rig) events(object *v1alpha1.CachedImage) map[string][]string {
	r.t.Helper()
	var list eventsv1.EventList
	r.must(cluster.List(r.t.Context(), &list, client.InNamespace("default")))
	notes := map[string][]string{}
	for _, e := range list.Items {
		if e.Regarding.Name == object.Name {
			notes[e.Reason] = append(notes[e.Reason], e.Note)
		}
	}
	return notes
}

// told waits for an event.
func (r *rig) told(object *v1alpha1.CachedImage, reason string) string {
	r.t.Helper()
	var notes []string
	r.until(func() string { return fmt.Sprintf("an event %s about %s", reason, object.Name) }, func() bool {
		notes = r.events(object)[reason]
		return len(notes) > 0
	})
	return notes[0]
}

// blob is the file of a stored blob.
func (r *rig) blob(dgst digest.Digest) string {
	r.t.Helper()
	pattern := filepath.Join(r.data, "*", "docker/registry/v2/blobs/sha256", dgst.Encoded()[:2], dgst.Encoded(), "data")
	for _, p := range []string{pattern, strings.Replace(pattern, "/*/", "/", 1)} {
		if found, _ := filepath.Glob(p); len(found) == 1 {
			return found[0]
		}
	}
	r.t.Fatalf("blob %s is not stored", dgst)
	return ""
}

func reference(s string) imageref.Reference {
	ref, err := imageref.Parse(s)
	if err != nil {
		panic(err)
	}
	return ref
}
