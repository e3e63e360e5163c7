package cluster

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/tests/kube"
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

// TestToken_ThePageReplacesIt runs what docs/operations.md says, on the Secret as the controller makes it.
func TestToken_ThePageReplacesIt(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Replacing the token\n")
	section, _, _ = strings.Cut(section, "\n## ")
	before, after, _ := strings.Cut(section, "Five minutes later:")
	w := newWorld(t)
	w.newController(t, "--token-secret", "larder-token").Start(t)
	old := w.token(t)
	script := commands(before) + "printf '%s' \"$new\"\n"
	fresh := w.shell(t, script)
	if got, want := w.token(t), fresh+"\n"+old+"\n"; got != want || len(fresh) < 32 {
		t.Errorf("the Secret holds %q, want %q", got, want)
	}
	w.shell(t, "name=larder-token new="+fresh+"\n"+commands(after))
	if got := w.token(t); got != fresh+"\n" {
		t.Errorf("the Secret holds %q, want %q", got, fresh+"\n")
	}
}

// commands are the lines of a page that are code.
func commands(page string) string {
	var lines strings.Builder
	for line := range strings.Lines(page) {
		if code, ok := strings.CutPrefix(line, "    "); ok {
			lines.WriteString(code)
		}
	}
	return lines.String()
}

// shell runs commands as an administrator's shell would, and returns their last line.
func (w *world) shell(t *testing.T, script string) string {
	t.Helper()
	assets, err := kube.Assets(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Kubeconfig, "PATH="+assets+":"+os.Getenv("PATH"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out[strings.LastIndex(string(out), "\n")+1:])
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
