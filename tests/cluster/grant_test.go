package cluster

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

const manifest = "team/app/manifests/v1"

// TestGrant_A1_A2_TwoTeams is the story of two teams that name one private image.
func TestGrant_A1_A2_TwoTeams(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.secretIn(t, "team-a", "pull", teamAlice)
	g.secretIn(t, "team-b", "wrong", origin.User{Name: "alice", Password: "guessed"})
	g.secretIn(t, "team-b", "others", otherBob)
	g.secretIn(t, "team-b", "right", teamAlice)

	g.denied(t, "node-a", manifest, "no pod on node node-a uses it")
	g.podOn(t, "node-a", "team-a", "app", "team/app:v1", "pull")
	g.pulls(t, "node-a", manifest)
	g.pulls(t, "node-a", "team/app/blobs/"+g.image.Blobs[1].Digest.String())
	g.Settle(t)

	g.denied(t, "node-b", manifest, "no pod on node node-b uses it")
	none := g.podOn(t, "node-b", "team-b", "none", "team/app:v1")
	for _, path := range []string{
		manifest, "team/app/manifests/" + g.image.Digest.String(), "team/app/blobs/" + g.image.Blobs[1].Digest.String(),
		"team/app/tags/list", "team/app/referrers/" + g.image.Digest.String(),
	} {
		g.denied(t, "node-b", path, "pod team-b/none on node node-b has no pull secret for it")
		if status, body := g.ask(t, "node-b", http.MethodHead, path); status != http.StatusForbidden || body != "" {
			t.Errorf("HEAD %s: %d %q, want 403", path, status, body)
		}
	}
	g.remove(t, none)
	wrong := g.podOn(t, "node-b", "team-b", "wrong", "team/app:v1", "wrong", "others")
	g.denied(t, "node-b", manifest, "the origin accepts none of the 2 credentials of pod team-b/wrong on node node-b")
	g.remove(t, wrong)

	g.origin.Forget()
	right := g.podOn(t, "node-b", "team-b", "right", "team/app:v1", "right")
	g.pulls(t, "node-b", manifest)
	if n := g.origin.Count(origin.Manifests()) + g.origin.Count(origin.Blobs()); n != 0 {
		t.Errorf("the origin was asked %d times about a credential that it accepted before", n)
	}
	g.remove(t, right)

	g.origin.SetUsers(otherBob)
	g.origin.ExpireTokens()
	g.origin.Refuse()
	for range 2 { // before and after a restart in the outage
		g.pulls(t, "node-a", manifest)
		g.pulls(t, "node-a", "team/app/blobs/"+g.image.Blobs[1].Digest.String())
		g.denied(t, "node-b", manifest, "no pod on node node-b uses it")
		g.Restart(t)
	}
	g.podOn(t, "node-b", "team-b", "late", "team/app:v1", "wrong")
	g.denied(t, "node-b", manifest, "cannot be found out now")
}

// remove removes a pod, and waits until the registry knows it.
func (g *guarded) remove(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := g.world.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	process.Eventually(t, "the registry to know that the pod is gone", func() bool {
		status, _ := g.ask(t, pod.Spec.NodeName, http.MethodHead, manifest)
		_, body := g.ask(t, pod.Spec.NodeName, http.MethodGet, manifest)
		return status == http.StatusForbidden && !strings.Contains(body, pod.Namespace+"/"+pod.Name)
	})
}
