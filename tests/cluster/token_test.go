package cluster

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// TestToken_MadeOnceAndAskedFor has the controller make the token under its roles, and the registry ask for it.
func TestToken_MadeOnceAndAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	image := o.Push(t, "team/app:v1", origin.RandomImage(1, 64<<10))
	controller := w.newController(t, "--token-secret", "larder-token")
	controller.Start(t)
	token := w.token(t)
	controller.Restart(t)
	w.newController(t, "--token-secret", "larder-token").Start(t)
	if again := w.token(t); again != token || len(token) < 26 {
		t.Errorf("the token is %q, and %q after another start", token, again)
	}

	larder := w.newRegistry(t, o, "--token-file", "token")
	larder.Write(t, "token", token+"\n")
	larder.Start(t)
	path := "/v2/" + process.Host + "/team/app/manifests/v1"
	if answer, body := larder.Get(t, http.MethodGet, path); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: %d %s", answer.StatusCode, body)
	}
	answer, body := larder.Get(t, http.MethodGet, path, "Authorization", "Bearer "+token)
	if answer.StatusCode != http.StatusOK || string(body) != string(image.Body) {
		t.Errorf("with the token: %d %s", answer.StatusCode, body)
	}
}

// token waits for the Secret and returns what it holds.
func (w *world) token(t *testing.T) string {
	t.Helper()
	var secret corev1.Secret
	process.Eventually(t, "the controller to make the token", func() bool {
		return w.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "larder-token"}, &secret) == nil
	})
	return string(secret.Data["token"])
}
