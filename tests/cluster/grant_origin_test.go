package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/names"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// A public repository's images come from a private one: who may pull is for that to say, whatever the public one gave away before.
func TestGrant_A1_AnotherOriginsImagesAreNotEverybodys(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	const public = "public/app/manifests/v1"
	corp := origin.New(t, origin.WithTokens(origin.User{Name: "alice", Password: "wonderland", Pulls: []string{"hardened/*"}}))
	g.origin.Push(t, "public/app:v1", origin.RandomImage(1, 4<<10))
	hardened := corp.Push(t, "hardened/app:v1", origin.RandomImage(1, 4<<10))
	g.Kill()
	g.Write(t, "larder.yaml", fmt.Sprintf("registries:\n- {host: %s, endpoints: ['%s']}\n- {host: registry.corp, endpoints: ['%s']}\n",
		process.Host, g.origin.URL(), corp.URL()))
	g.Start(t)
	g.pulls(t, "", public)

	create(t, g.world, repository("public", v1alpha1.RepositorySpec{Name: process.Host + "/public/app", Origin: "registry.corp/hardened/app"}))
	process.Eventually(t, "the Repository to be in force", func() bool {
		_, text := g.Get(t, http.MethodGet, names.Path, "Authorization", "Bearer "+shown)
		return strings.Contains(string(text), `"origins":["registry.corp/hardened/app"]`)
	})
	g.podOn(t, "node-b", "team-b", "nosy", "public/app:v1")
	g.denied(t, "node-b", "public/app/manifests/"+hardened.Digest.String(), "pod team-b/nosy on node node-b has no pull secret for it")
	g.secretFor(t, "registry.corp", "team-a", "corp", teamAlice)
	g.podOn(t, "node-a", "team-a", "app", "public/app:v1", "corp")
	g.pulls(t, "node-a", "public/app/manifests/"+hardened.Digest.String())
	g.denied(t, "node-b", "public/app/manifests/"+hardened.Digest.String(), "pod team-b/nosy on node node-b has no pull secret for it")
}
