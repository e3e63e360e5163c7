package cluster

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/names"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// The pod says reg.example/team/app, the Repository that its images come from registry.corp/hardened/app, the pod's secret is for that.
func TestOrigin_A3_AnotherSourceWithThePodsSecretForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hub, corp := origin.New(t), origin.New(t, origin.WithTokens(alice))
	hub.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	hardened := corp.Push(t, "hardened/app:v1", origin.RandomImage(2, 64<<10))
	larder, controller := w.newRegistry(t, hub, "--token-file", "token"), w.newController(t)
	larder.Write(t, "token", "secret-of-the-test\n")
	larder.Write(t, "larder.yaml", fmt.Sprintf("registries:\n- {host: %s, endpoints: ['%s']}\n- {host: registry.corp, endpoints: ['%s']}\n",
		process.Host, hub.URL(), corp.URL()))
	auth := base64.StdEncoding.EncodeToString([]byte(alice.Name + ":" + alice.Password))
	create(t, w, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "corp"}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: fmt.Sprintf(`{"auths":{"registry.corp":{"auth":%q}}}`, auth)},
	})
	create(t, w, repository("team", v1alpha1.RepositorySpec{Name: process.Host + "/team/app", Origin: "registry.corp/hardened/app"}))
	larder.Start(t)
	bearer := []string{"Authorization", "Bearer secret-of-the-test", "Larder-Node", "worker"}
	process.Eventually(t, "the registry to tell proxies of it", func() bool {
		_, text := larder.Get(t, http.MethodGet, names.Path, bearer...)
		return strings.Contains(string(text), `"origins":["registry.corp/hardened/app"]`)
	})
	controller.Start(t)
	w.pod(t, "app", []string{app}, "corp")

	found := w.awaitReady(t, app)
	if found.Status.Digest != hardened.Digest.String() {
		t.Errorf("its status names %s, want what registry.corp has: %s", found.Status.Digest, hardened.Digest)
	}
	corp.Refuse()
	if got, body := larder.Get(t, http.MethodGet, private, bearer...); got.StatusCode != http.StatusOK || string(body) != string(hardened.Body) {
		t.Errorf("a pull while registry.corp is down: %d", got.StatusCode)
	}
	missing := strings.TrimSuffix(private, "v1") + "missing"
	if got, body := larder.Get(t, http.MethodGet, missing, bearer...); !strings.Contains(string(body), "registry.corp") {
		t.Errorf("what is not stored: %d %s, want an error that names who was asked", got.StatusCode, body)
	}
	if n := hub.Count(origin.Everything()); n != 0 {
		t.Errorf("the origin in the name was asked %d times", n)
	}
}
