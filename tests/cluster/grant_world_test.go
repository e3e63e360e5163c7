package cluster

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// guarded is a registry that knows its callers by a token, as in the chart, before an origin that knows alice and bob.
type guarded struct {
	*world
	*process.Larder
	origin *origin.Origin
	image  origin.Image // team/app:v1, which only alice may pull
}

const shown = "hush"

var (
	teamAlice = origin.User{Name: "alice", Password: "wonderland", Pulls: []string{"team/*"}}
	otherBob  = origin.User{Name: "bob", Password: "builder", Pulls: []string{"other/*"}}
	everybody = origin.User{Pulls: []string{"public/*"}}
)

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	w := newWorld(t)
	g := &guarded{world: w, origin: origin.New(t, origin.WithTokens(teamAlice, otherBob, everybody))}
	g.image = g.origin.Push(t, "team/app:v1", origin.RandomImage(1, 64<<10))
	g.Larder = w.newRegistry(t, g.origin, "--token-file", "token")
	g.Write(t, "token", shown+"\n")
	for _, ns := range []string{"team-a", "team-b"} {
		create(t, w, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	}
	g.Start(t)
	return g
}

// secretIn creates a pull secret with which a user pulls from the origin.
func (g *guarded) secretIn(t *testing.T, ns, name string, user origin.User) {
	t.Helper()
	g.secretFor(t, process.Host, ns, name, user)
}

// secretFor creates one for another host.
func (g *guarded) secretFor(t *testing.T, host, ns, name string, user origin.User) {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(user.Name + ":" + user.Password))
	create(t, g.world, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, auth)},
	})
}

// podOn creates a pod of an image on a node.
func (g *guarded) podOn(t *testing.T, node, ns, name, image string, secrets ...string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.PodSpec{
		NodeName: node, Containers: []corev1.Container{{Name: "c", Image: proxy + "/" + process.Host + "/" + image}},
	}}
	for _, secret := range secrets {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
	}
	create(t, g.world, pod)
	return pod
}

// ask asks as the larder-proxy of a node does; an empty one: as another who has the token.
func (g *guarded) ask(t *testing.T, node, method, path string) (int, string) {
	t.Helper()
	header := []string{"Authorization", "Bearer " + shown}
	if node != "" {
		header = append(header, "Larder-Node", node)
	}
	answer, body := g.Get(t, method, "/v2/"+process.Host+"/"+path, header...)
	return answer.StatusCode, string(body)
}

// answer is what a node is answered once the registry has heard of its pods, unless that it has not is what is wanted: on a busy machine
// that takes longer than a pull waits.
func (g *guarded) answer(t *testing.T, node, path, want string) (status int, body string) {
	t.Helper()
	early := []string{"no pod on node " + node + " uses it", "the API server has not told yet which pods run on node " + node}
	process.Eventually(t, "the registry to know the pods of "+node, func() bool {
		status, body = g.ask(t, node, http.MethodGet, path)
		return !slices.ContainsFunc(early, func(why string) bool { return why != want && strings.Contains(body, why) })
	})
	return status, body
}

// pulls checks that a node is answered.
func (g *guarded) pulls(t *testing.T, node, path string) {
	t.Helper()
	if status, body := g.answer(t, node, path, ""); status != http.StatusOK {
		t.Errorf("%s pulls %s: %d %s, want 200", node, path, status, body)
	}
}

// denied checks that a node is refused, and told why.
func (g *guarded) denied(t *testing.T, node, path, why string) {
	t.Helper()
	status, body := g.answer(t, node, path, why)
	if status != http.StatusForbidden || !strings.Contains(body, "DENIED") || !strings.Contains(body, why) {
		t.Errorf("%s pulls %s: %d %s, want it denied because %q", node, path, status, body, why)
	}
}
