package cluster

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// TestGrant_A1_WhoNeedsNoPod: what everybody may have, and nothing else, is served to who names no node.
func TestGrant_A1_WhoNeedsNoPod(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.origin.Push(t, "public/app:v1", origin.RandomImage(1, 4<<10))
	g.origin.Push(t, "team/shared:v1", origin.RandomImage(1, 4<<10))
	g.origin.Push(t, "team/own:v1", origin.RandomImage(1, 4<<10))
	g.secretIn(t, "team-a", "pull", teamAlice)
	g.secretIn(t, namespace, "hub", teamAlice)
	g.podOn(t, "node-a", "team-a", "app", "team/app:v1", "pull")
	g.podOn(t, "node-a", "team-a", "shared", "team/shared:v1", "pull")
	create(t, g.world, repository("shared", v1alpha1.RepositorySpec{Name: process.Host + "/team/shared", Access: v1alpha1.AccessShared}))
	create(t, g.world, repository("own", v1alpha1.RepositorySpec{Name: process.Host + "/team/own", PullSecretNames: []string{"hub"}}))
	process.Eventually(t, "the Repositories to be in force", func() bool {
		shared, _ := g.ask(t, "", http.MethodGet, "team/shared/manifests/v1")
		own, _ := g.ask(t, "", http.MethodGet, "team/own/manifests/v1")
		return shared == http.StatusOK && own == http.StatusOK
	})
	g.pulls(t, "", "public/app/manifests/v1")
	g.pulls(t, "node-x", "team/own/manifests/v1")
	g.pulls(t, "node-a", manifest)
	g.denied(t, "", manifest, "the request names no node")
	for _, absent := range []string{"public/app/manifests/v2", "public/app/manifests/" + g.image.Digest.String()} {
		if status, body := g.ask(t, "", http.MethodGet, absent); status != http.StatusNotFound || !strings.Contains(body, "MANIFEST_UNKNOWN") {
			t.Errorf("%s: %d %s, want 404", absent, status, body)
		}
	}
	layer := g.image.Blobs[1].Digest.String() // stored under team/app, and no blob of public/app
	if status, body := g.ask(t, "node-a", http.MethodGet, "team/app/blobs/"+layer); status != http.StatusOK {
		t.Errorf("the layer under its own name: %d %s", status, body)
	}
	for _, node := range []string{"", "node-a"} {
		if status, _ := g.ask(t, node, http.MethodGet, "public/app/blobs/"+layer); status == http.StatusOK {
			t.Errorf("node %q pulls a private layer under a public name", node)
		}
	}

	for node, want := range map[string]int{"node-a": http.StatusOK, "node-x": http.StatusForbidden} { // as a mirror of containerd's
		answer, body := g.Get(t, http.MethodGet, "/v2/"+manifest+"?ns="+process.Host, "Authorization", "Bearer "+shown, "Larder-Node", node)
		if answer.StatusCode != want {
			t.Errorf("%s pulls with ns: %d %s, want %d", node, answer.StatusCode, body, want)
		}
	}
}

// onTwoNodes has pods of two nodes pull by a grant; the second node's is returned.
func onTwoNodes(t *testing.T) (g *guarded, second *corev1.Pod) {
	t.Helper()
	g = newGuarded(t)
	g.secretIn(t, "team-a", "pull", teamAlice)
	g.podOn(t, "node-a", "team-a", "app", "team/app:v1", "pull")
	second = g.podOn(t, "node-b", "team-a", "gone", "team/app:v1", "pull")
	for _, node := range []string{"node-a", "node-b"} {
		g.pulls(t, node, manifest)
		g.pulls(t, node, "team/app/tags/list") // by the grant
	}
	return g, second
}

func (g *guarded) stop(t *testing.T) {
	t.Helper()
	if err := g.Signal(t, syscall.SIGTERM); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// startsInAnOutage starts it where nobody tells it of pods: the first node still pulls, the second has none any more.
func (g *guarded) startsInAnOutage(t *testing.T) {
	t.Helper()
	g.world.Outage(t)
	g.origin.Refuse()
	g.Start(t)
	g.pulls(t, "node-a", manifest)
	g.denied(t, "node-b", manifest, "the API server has not told yet which pods run on node node-b")
}

// TestGrant_A2_StartsInAnOutageOfTheAPIServer: what a node could pull, it can pull after a start that learns of no pod.
func TestGrant_A2_StartsInAnOutageOfTheAPIServer(t *testing.T) {
	t.Parallel()
	g, gone := onTwoNodes(t)
	g.remove(t, gone)
	g.stop(t)
	g.startsInAnOutage(t)
}

// TestGrant_A2_PodsThatWentWhileItWasDownAreForgotten: of a pod that went while nobody watched no event tells, and its node could pull in the next
// outage of the API server.
func TestGrant_A2_PodsThatWentWhileItWasDownAreForgotten(t *testing.T) {
	t.Parallel()
	g, gone := onTwoNodes(t)
	g.stop(t)
	if err := g.world.Delete(t.Context(), gone, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	g.Start(t)
	known := filepath.Join(g.Dir, "larder-data", "access.json")
	process.Eventually(t, "the node to be forgotten", func() bool {
		text, err := os.ReadFile(known)
		return err == nil && strings.Contains(string(text), "node-a") && !strings.Contains(string(text), "node-b")
	})
	g.stop(t)
	g.startsInAnOutage(t)
}

// TestGrant_IsSeenAndRevoked: an administrator sees who may pull, and ends it.
func TestGrant_IsSeenAndRevoked(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.secretIn(t, "team-a", "pull", teamAlice)
	g.secretIn(t, "team-b", "wrong", otherBob)
	object := repository("app", v1alpha1.RepositorySpec{Name: process.Host + "/team/app"})
	create(t, g.world, object)
	g.podOn(t, "node-a", "team-a", "app", "team/app:v1", "pull")
	g.podOn(t, "node-b", "team-b", "nosy", "team/app:v1", "wrong")
	g.pulls(t, "node-a", manifest)
	g.denied(t, "node-b", manifest, "pod team-b/nosy")
	g.wait(t, "repo/app", "{.status.access.grants}=1")
	g.wait(t, "repo/app", "{.status.access.public}=false")
	g.wait(t, "repo/app", "{.status.access.namespaces[0].name}=team-a")
	process.Eventually(t, "an event on the pod", func() bool {
		var list eventsv1.EventList
		if err := g.List(t.Context(), &list, client.InNamespace("team-b")); err != nil {
			t.Fatal(err)
		}
		return len(list.Items) == 1 && list.Items[0].Reason == "PullDenied" && list.Items[0].Regarding.Name == "nosy"
	})
	if _, body := g.GetHealth(t, "/metrics"); !strings.Contains(string(body), `larder_pulls_denied_total{reason="refused"} 1`) {
		t.Error("/metrics does not count the refusal")
	}
	said := g.Said()
	for _, secret := range []string{teamAlice.Password, otherBob.Password} {
		if strings.Contains(said, secret) {
			t.Errorf("the log has a password")
		}
	}

	before := g.version(t)
	g.pulls(t, "node-a", "team/app/manifests/"+g.image.Digest.String())
	if out, err := g.Run(t, "grants", "list"); err != nil || !strings.Contains(out, process.Host+"/team/app") || !strings.Contains(out, "team-a") {
		t.Errorf("larder grants list: %v %s", err, out)
	}
	if after := g.version(t); after != before {
		t.Errorf("the Repository was written although nothing changed: %s, %s", before, after)
	}
	g.origin.SetUsers(otherBob)
	g.origin.ExpireTokens()
	if out, err := g.Run(t, "grants", "revoke", process.Host+"/team/app", "--namespace", "team-a"); err != nil || !strings.Contains(out, "team-a") {
		t.Errorf("larder grants revoke: %v %s", err, out)
	}
	g.denied(t, "node-a", manifest, "the origin accepts none of the 1 credentials of pod team-a/app")
	g.wait(t, "repo/app", "{.status.access.grants}=0")
	if out, err := g.Run(t, "grants", "revoke", process.Host+"/team/app"); err == nil {
		t.Errorf("revoking nothing: %s, want an error", out)
	}
}

func (g *guarded) version(t *testing.T) string {
	t.Helper()
	var object v1alpha1.Repository
	if err := g.world.Get(t.Context(), client.ObjectKey{Name: "app"}, &object); err != nil {
		t.Fatal(err)
	}
	return object.ResourceVersion
}

// TestGrant_A1_OneTransferForThoseWhoMayHaveIt: who joins another's transfer has a grant of his own.
func TestGrant_A1_OneTransferForThoseWhoMayHaveIt(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.secretIn(t, "team-a", "pull", teamAlice)
	g.secretIn(t, "team-b", "pull", teamAlice)
	g.podOn(t, "node-a", "team-a", "app", "team/app:v1", "pull")
	g.podOn(t, "node-b", "team-b", "none", "team/app:v1")
	g.podOn(t, "node-c", "team-b", "app", "team/app:v1", "pull")
	layer := g.image.Blobs[1]
	path := "team/app/blobs/" + layer.Digest.String()
	g.pulls(t, "node-a", manifest)
	held := g.origin.Fail(origin.Blobs().Of(layer.Digest.String()).By(http.MethodGet), origin.Hang())
	done := make(chan int, 2)
	for _, node := range []string{"node-a", "node-c"} {
		go func() {
			status, _ := g.ask(t, node, http.MethodGet, path)
			done <- status
		}()
	}
	held.Await(t, 1)
	g.denied(t, "node-b", path, "pod team-b/none on node node-b has no pull secret for it")
	held.Heal()
	for range 2 {
		if status := <-done; status != http.StatusOK {
			t.Errorf("a transfer that was granted: %d", status)
		}
	}
	if sent := g.origin.BytesSent(layer.Digest); sent != layer.Size {
		t.Errorf("the origin sent %d bytes, want the layer's %d once", sent, layer.Size)
	}
}
