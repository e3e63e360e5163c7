package access

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

func TestClaims_A3_OfThePodsOfANodeWithTheirNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared, nil)
	teamApp := imageref.Repository{Host: "reg.example", Path: "team/" + w.ns} // the cluster is others' too
	w.secret("wide", "reg.example", "wide")
	w.secret("narrow", "reg.example/team", "narrow")
	w.secret("elsewhere", "other.example", "elsewhere")
	w.secret("hub", "reg.example", "hub")
	w.own.Store(&[]string{"hub", "missing"})
	w.podOn(teamApp, "node-1", "a", "wide", "missing", "narrow", "elsewhere")
	w.podOn(teamApp, "node-2", "b", "wide")
	pods, err := w.Pods(t.Context(), teamApp, "node-1")
	w.must(err)
	if len(pods) != 1 || pods[0].Name != "a" || pods[0].Namespace != w.ns {
		t.Fatalf("Pods = %v, want the one of the node", pods)
	}
	claims, err := w.Claims(t.Context(), teamApp, pods)
	w.must(err)
	var names []string
	for _, c := range claims {
		if c.Namespace != w.ns || c.Source != "" {
			t.Errorf("a claim of %q, %q", c.Namespace, c.Source)
		}
		names = append(names, c.Credential.Username)
	}
	if diff := cmp.Diff([]string{"narrow", "wide"}, names); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	own, err := w.Keychain.Own(t.Context(), teamApp, teamApp)
	w.must(err)
	if len(own) != 1 || own[0].Source != "secret/hub" || own[0].Credential.Username != "hub" {
		t.Errorf("Own = %v", own)
	}
	if diff := cmp.Diff([]string{"secret/hub", "secret/missing"}, w.OwnSources(teamApp, teamApp)); diff != "" {
		t.Errorf("own sources (-want +got):\n%s", diff)
	}
	if all, err := w.Pods(t.Context(), teamApp, ""); err != nil || len(all) != 2 {
		t.Errorf("Pods of any node = %v, %v", all, err)
	}
}

func TestWatch_TellsOfPodsThatComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared, nil)
	var mu sync.Mutex
	told := map[string]int{}
	informer, err := w.o.Pods.(ctrlcache.Cache).GetInformer(t.Context(), &corev1.Pod{})
	w.must(err)
	_, err = informer.AddEventHandler(w.Watch(usage.Scope{All: true}, func(repo imageref.Repository, node string) {
		mu.Lock()
		defer mu.Unlock()
		told[repo.Path+" on "+node]++
	}))
	w.must(err)
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return told[w.ns+" on node-1"]
	}
	repo := imageref.Repository{Host: "reg.example", Path: w.ns} // the cluster is others' too
	changed := w.Changed(repo)
	pod := w.bound("node-1", "a", "reg.example/"+w.ns+":v1")
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatal("nobody tells of a pod that came")
	}
	w.await(func() bool { return count() > 0 })
	before := count()
	changed = w.Changed(repo)
	pod.Status.Phase = corev1.PodRunning
	w.must(w.cluster.Status().Update(t.Context(), pod))
	w.must(w.cluster.Delete(t.Context(), pod, client.GracePeriodSeconds(0)))
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatal("nobody tells of a pod that went")
	}
	w.await(func() bool { return count() > before })
	if n := count(); n != before+1 {
		t.Errorf("it was told %d times of one that went, a running pod is none", n-before)
	}
}

// podOn creates a pod of a repository on a node, and waits until the keychain knows it.
func (w *world) podOn(repo imageref.Repository, node, name string, secrets ...string) {
	w.t.Helper()
	w.bound(node, name, repo.String()+":v1", secrets...)
	w.await(func() bool {
		pods, err := w.Pods(w.t.Context(), repo, node)
		w.must(err)
		for _, pod := range pods {
			if pod.Namespace == w.ns && pod.Name == name {
				return true
			}
		}
		return false
	})
}

func (w *world) bound(node, name, image string, secrets ...string) *corev1.Pod {
	w.t.Helper()
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "a", Image: image}}}}
	pod.Name, pod.Namespace = name, w.ns
	for _, secret := range secrets {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
	}
	w.create(pod)
	return pod
}
