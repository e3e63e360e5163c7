package access

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/kube"
)

func repository(t *testing.T, name string) imageref.Repository {
	t.Helper()
	repo, err := imageref.ParseRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func (w *world) find(repo imageref.Repository) []string {
	w.t.Helper()
	found, err := w.Find(w.t.Context(), repo)
	w.must(err)
	return users(found)
}

// forget makes secrets be read again, as if secretTTL had passed.
func (w *world) forget() { w.secrets.known.Purge() }

func TestFind_A3_PodsThenOwnLongestPathFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared, nil)
	repo := repository(t, "a3.test/team/app")
	w.secret("host", "a3.test", "host")
	w.secret("team", "https://a3.test/v2/team", "team")
	w.secret("other", "other.test", "other")
	w.secret("mine", "a3.test/team/app", "mine")
	w.secret("glob", "*.test", "glob")
	w.own.Store(&[]string{"glob", "mine", "none"})
	w.pod("one", "a3.test/team/app:1", "host", "missing", "other", "team")
	w.pod("other", "a3.test/team/else:1", "mine")
	if diff := cmp.Diff([]string{"team", "host", "mine", "glob"}, w.find(repo)); diff != "" {
		t.Error(diff)
	}
	found, err := w.Find(t.Context(), repo)
	w.must(err)
	if found[0].Password != password("team") || found[0].Auth != "" {
		t.Errorf("got %d characters of a password", len(found[0].Password))
	}
}

func TestFind_FinishedPodsHaveNoSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared, nil)
	for _, name := range []string{"a", "b", "c"} {
		w.secret(name, "finished.test", name)
	}
	w.pod("z", "finished.test/app", "a", "b")
	w.pod("y", "finished.test/app", "c", "b")
	found := w.find(repository(t, "finished.test/app"))
	slices.Sort(found)
	if diff := cmp.Diff([]string{"a", "b", "c"}, found); diff != "" {
		t.Error(diff)
	}
	w.must(w.cluster.Status().Update(t.Context(), func() *corev1.Pod {
		pod := &corev1.Pod{}
		w.must(w.cluster.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "y"}, pod))
		pod.Status.Phase = corev1.PodSucceeded
		return pod
	}()))
	w.await(func() bool { return slices.Equal([]string{"a", "b"}, w.find(repository(t, "finished.test/app"))) })
}

func TestFind_NeverListsSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared, nil)
	w.secret("one", "lists.test", "one")
	w.pod("one", "lists.test/app", "one", "missing")
	w.own.Store(&[]string{"own"})
	w.secret("own", "lists.test", "own")
	if diff := cmp.Diff([]string{"one", "own"}, w.find(repository(t, "lists.test/app"))); diff != "" {
		t.Error(diff)
	}
	for _, request := range w.asked.all() {
		if !strings.HasPrefix(request, "GET /api/v1/namespaces/"+w.ns+"/secrets/") || strings.Contains(request, "?") {
			t.Errorf("asked %s", request)
		}
	}
	if n := len(w.asked.all()); n != 3 {
		t.Errorf("%d requests, want one for each secret", n)
	}
	err := w.direct().(client.Client).List(t.Context(), &corev1.SecretList{}, client.InNamespace(w.ns))
	if !apierrors.IsForbidden(err) {
		t.Errorf("listing secrets: got %v, want it forbidden", err)
	}
}

func TestFind_NarrowedToNamespaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared, func(o *Options, _ string) { o.Namespaces = []string{"elsewhere"} })
	w.secret("pods", "narrow.test", "pods")
	w.secret("own", "narrow.test", "own")
	before := w.Stamp(repository(t, "narrow.test/app"))
	w.pod("one", "narrow.test/app", "pods")
	w.own.Store(&[]string{"own"})
	if diff := cmp.Diff([]string{"own"}, w.find(repository(t, "narrow.test/app"))); diff != "" {
		t.Error(diff)
	}
	w.own.Store(nil)
	if w.Stamp(repository(t, "narrow.test/app")) != before {
		t.Error("the stamp tells of secrets that may not be read")
	}
}

func TestFind_SharedSecretIsReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared, nil)
	w.secret("one", "*.shared.test", "one")
	now := time.Now()
	w.secrets.now = func() time.Time { return now }
	for i := range 10 {
		w.pod(fmt.Sprint("pod", i), fmt.Sprintf("r%d.shared.test/app", i), "one")
	}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			found, err := w.Find(context.Background(), imageref.Repository{Host: fmt.Sprintf("r%d.shared.test", i), Path: "app"})
			if err != nil || !slices.Equal(users(found), []string{"one"}) {
				t.Errorf("got %q, %v", users(found), err)
			}
		})
	}
	wg.Wait()
	if n := len(w.asked.all()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	w.must(w.cluster.Delete(t.Context(), secretOf(w.ns, "one", "")))
	w.secret("one", "*.shared.test", "two")
	now = now.Add(secretTTL)
	if diff := cmp.Diff([]string{"two"}, w.find(repository(t, "r1.shared.test/app"))); diff != "" {
		t.Errorf("a rotated secret:\n%s", diff)
	}
}

func TestFind_SkipsWhatIsMissingOrMalformed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared, nil)
	w.secret("good", "bad.test", "good")
	w.create(secretOf(w.ns, "no-map", `{"auths":"s3cret"}`))
	w.create(secretOf(w.ns, "number", `{"auths":{"bad.test":{"username":"u","password":31415926}}}`))
	w.create(secretOf(w.ns, "some", `{"auths":{"bad.test":{"auth":"s3cret!"},"bad.test/app":{"auth":"c29tZTpzM2NyZXQ="}}}`))
	opaque := secretOf(w.ns, "opaque", "s3cret")
	opaque.Type = corev1.SecretTypeOpaque
	w.create(opaque)
	legacy := secretOf(w.ns, "legacy", "")
	legacy.Type, legacy.Data = corev1.SecretTypeDockercfg, map[string][]byte{
		corev1.DockerConfigKey: []byte(`{"https://bad.test":{"username":"legacy","password":"s3cret"}}`)}
	w.create(legacy)
	w.pod("one", "bad.test/app", "missing", "no-map", "number", "some", "opaque", "legacy", "..", "in/another", "%2e", "good")
	for range 2 {
		if diff := cmp.Diff([]string{"some", "legacy", "good"}, w.find(repository(t, "bad.test/app"))); diff != "" {
			t.Error(diff)
		}
		for name, known := range w.knownSecrets() {
			known.until = time.Now() // to be read again
			w.secrets.known.Add(name, known)
		}
	}
	var skipped []string
	for _, line := range w.lines.all() {
		if strings.Contains(line, "s3cret") || strings.Contains(line, "31415926") {
			t.Errorf("the log tells what a secret holds: %s", line)
		}
		if _, rest, ok := strings.Cut(line, `"secret"="`); ok {
			name, _, _ := strings.Cut(rest, `"`)
			skipped = append(skipped, name)
		}
	}
	slices.Sort(skipped)
	if diff := cmp.Diff([]string{"missing", "no-map", "number", "opaque", "some"}, skipped); diff != "" {
		t.Errorf("one line for each that is skipped:\n%s", diff)
	}
}

func (w *world) knownSecrets() map[types.NamespacedName]secret {
	all := map[types.NamespacedName]secret{}
	for _, name := range w.secrets.known.Keys() {
		all[name], _ = w.secrets.known.Peek(name)
	}
	return all
}

func TestStamp_ChangesWithPodsAndOwnSecretsWithoutAsking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared, nil)
	repo := repository(t, "stamp.test/app")
	seen := map[string]string{}
	isNew := func(what string) {
		t.Helper()
		stamp := w.Stamp(repo)
		if before, ok := seen[stamp]; ok {
			t.Errorf("%s: the stamp is that of %s", what, before)
		}
		seen[stamp] = what
	}
	isNew("nothing")
	nothing := w.Stamp(repo)
	w.pod("without", "stamp.test/app")
	w.pod("other", "other.test/app", "one")
	if w.Stamp(repo) != nothing {
		t.Error("the stamp changed though no other secrets came into question")
	}
	pod := w.pod("one", "stamp.test/app", "one")
	isNew("a pod")
	w.pod("two", "stamp.test/app:2", "one")
	isNew("two pods of one secret")
	w.own.Store(&[]string{"own"})
	isNew("own secrets")
	w.own.Store(&[]string{"own", "more"})
	isNew("more of them")
	before := w.Stamp(repo)
	w.must(w.cluster.Delete(t.Context(), pod, client.GracePeriodSeconds(0)))
	w.await(func() bool { return w.Stamp(repo) != before })
	if n := len(w.asked.all()); n != 0 {
		t.Errorf("%d requests for secrets", n)
	}
}

// The cluster of this test goes down.
func TestFind_APIServerOutage(t *testing.T) {
	t.Parallel()
	c := kube.New(t)
	w := newWorld(t, c, nil)
	repo := repository(t, "outage.test/app")
	var now struct {
		sync.Mutex
		time.Time
	}
	now.Time = time.Now()
	w.secrets.now = func() time.Time {
		now.Lock()
		defer now.Unlock()
		return now.Time
	}
	pass := func(d time.Duration) {
		now.Lock()
		defer now.Unlock()
		now.Time = now.Add(d)
	}
	w.secret("one", "outage.test", "one")
	w.pod("one", "outage.test/app", "one")
	if diff := cmp.Diff([]string{"one"}, w.find(repo)); diff != "" {
		t.Fatal(diff)
	}
	restore := c.Outage(t)
	for _, passed := range []time.Duration{secretTTL, 30 * time.Minute, 24 * time.Hour} {
		pass(passed)
		started := time.Now()
		found, err := w.Find(t.Context(), repo)
		if err == nil || strings.Contains(err.Error(), password("one")) {
			t.Errorf("got error %v, want the outage", err)
		}
		if diff := cmp.Diff([]string{"one"}, users(found)); diff != "" {
			t.Errorf("%s later:\n%s", passed, diff)
		}
		if took := time.Since(started); took > 10*apiTimeout { // one wait for the pods, one for the secret, on a busy machine
			t.Errorf("took %s", took)
		}
	}

	// One that starts in the outage knows no pods, does not wait for ever, and finds them once the API server is back.
	late := New(Options{Pods: w.pods(false), Secrets: w.direct(), Namespace: w.ns, Log: w.lines.logger()})
	unknown, soonest := "", apiTimeout
	for range 3 { // one that waits does so each time, a busy machine now and then
		started := time.Now()
		unknown = late.Stamp(repo)
		soonest = min(soonest, time.Since(started))
	}
	if soonest > apiTimeout/2 {
		t.Errorf("the stamp took %s", soonest)
	}
	started := time.Now()
	if found, err := late.Find(t.Context(), repo); err == nil || len(found) > 0 || time.Since(started) > 10*apiTimeout {
		t.Errorf("got %q, %v after %s", users(found), err, time.Since(started))
	}
	restore()
	w.await(func() bool { return late.Stamp(repo) != unknown })
	found, err := late.Find(t.Context(), repo)
	if err != nil || !slices.Equal(users(found), []string{"one"}) {
		t.Errorf("got %q, %v after the outage", users(found), err)
	}
	w.forget()
	if diff := cmp.Diff([]string{"one"}, w.find(repo)); diff != "" {
		t.Error(diff)
	}
}

func TestFind_NewestPodsFirstUpToALimit(t *testing.T) {
	t.Parallel()
	k := New(Options{})
	var pods []corev1.Pod
	for i := range 2 * maxSecrets {
		pods = append(pods, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: fmt.Sprint("ns", i), CreationTimestamp: metav1.Unix(int64(i), 0)},
			Spec:       corev1.PodSpec{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}, {}, {Name: "pull"}}},
		})
	}
	names := k.named(pods)
	if len(names) != maxSecrets || names[0].Namespace != fmt.Sprint("ns", 2*maxSecrets-1) || pods[0].Namespace != "ns0" {
		t.Errorf("got %d names, the first in %s", len(names), names[0].Namespace)
	}
}

func TestFind_ManySecretsCrowdNobodyOut(t *testing.T) {
	t.Parallel()
	pod := func(ns string, age int64, secrets ...string) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: ns, CreationTimestamp: metav1.Unix(age, 0)}}
		for _, secret := range secrets {
			p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
		}
		return p
	}
	var many []string
	for i := range 2 * maxSecrets {
		many = append(many, fmt.Sprint("s", i))
	}
	names := New(Options{}).named([]corev1.Pod{pod("old", 1, "one", "two"), pod("new", 2, many...)})
	var first []string
	for _, name := range names[:4] {
		first = append(first, name.String())
	}
	if diff := cmp.Diff([]string{"new/s0", "old/one", "new/s1", "old/two"}, first); diff != "" || len(names) != maxSecrets {
		t.Errorf("%d names, the first are:\n%s", len(names), diff)
	}
}
