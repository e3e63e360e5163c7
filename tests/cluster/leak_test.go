package cluster

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/pair"
	"github.com/larder-dev/larder/tests/process"
)

// output is all that anybody can see of a busy Larder, by where it was seen.
type output struct {
	mu   sync.Mutex
	seen map[string]string
}

func (o *output) add(where, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen[where] += text + "\n"
}

// pull asks a server, and keeps the answer.
func (o *output) pull(t *testing.T, base, path string, header ...string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body strings.Builder
	if err := resp.Write(&body); err != nil {
		o.add("answers", err.Error()) // a body that was broken off
	}
	o.add("answers", body.String())
}

// TestLeak_NoOutputHasASecret keeps all that Larder's processes say while they use secrets of every kind, also bad ones, and while their origin
// fails, and looks for the secrets in it: logs at their most talkative, metrics, answers, events, objects, and every file of the registry.
func TestLeak_NoOutputHasASecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := origin.User{Name: "alice", Password: "good-pass-4711"}
	o := origin.New(t, origin.WithTokens(user))
	o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	o.Push(t, "team/other:v1", origin.RandomImage(1, 4<<10))
	secrets := map[string]string{ // where it is from
		"a pull secret": user.Password, "a pull secret that was revoked": "old-pass-4712", "a pull secret that cannot be read": "bad-pass-4713",
		"the token": "hush-token-4714", "a client's credentials": "client-pass-4715", "a query": "query-4716", "a redirect": "signature-4717",
	}
	w.pullSecret(t, "good", user)
	w.pullSecret(t, "revoked", origin.User{Name: "alice", Password: "old-pass-4712"})
	create(t, w, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "bad"}, Type: corev1.SecretTypeOpaque,
		StringData: map[string]string{corev1.DockerConfigJsonKey: `{"auths":{"reg.example":{"auth":bad-pass-4713}}}`},
	})
	larder := w.newRegistry(t, o, "--token-file", "token", "--log-level", "debug")
	larder.Write(t, "token", "hush-token-4714\n")
	controller := w.newController(t, "--log-level", "debug", "--token-secret", "larder-token", "--registry-tls", "larder-registry")
	larder.Start(t)
	controller.Start(t)
	secrets["the token that the controller made"] = w.token(t)
	w.serving(t)

	out := &output{seen: map[string]string{}}
	n := &node{dir: t.TempDir(), log: funcr.New(func(prefix, args string) { out.add("the log of a relay", prefix+args) }, funcr.Options{Verbosity: 9})}
	pair.Replace(t, n.token(), []byte("hush-token-4714\n"))
	n.serve(t, larder.Addr, true, false)

	w.pod(t, "app", []string{app}, "bad", "revoked", "good")
	w.pod(t, "other", []string{process.Host + "/team/other:v1"}, "bad", "revoked")
	w.awaitReady(t, app)
	ask := func(path string) {
		out.pull(t, n.url, path, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("me:client-pass-4715")), "Cookie", "client-pass-4715")
		out.pull(t, "http://"+larder.Addr, path, "Authorization", "Bearer client-pass-4715")
		out.pull(t, "http://"+larder.Addr, path, "Authorization", "Bearer hush-token-4714", "Larder-Node", "worker")
	}
	paths := []string{manifestPath, manifestPath + "?token=query-4716", "/v2/team/app/manifests/v1?ns=" + process.Host + "&x=query-4716",
		"/v2/" + process.Host + "/team/other/manifests/v1", "/v2/" + process.Host + "/team/app/tags/list?last=query-4716"}
	for _, effect := range []origin.Effect{
		origin.Status(500), origin.Status(403), origin.Status(429), origin.Reset(), origin.RedirectTo("http://169.254.169.254/?X-Amz-Signature=signature-4717"),
		origin.RedirectTo("http://me:signature-4717@127.0.0.1:1/x?sig=signature-4717"),
	} {
		fault := o.Fail(origin.Everything(), effect)
		for i, path := range paths {
			ask(path)
			ask(strings.Replace(path, "v1", fmt.Sprintf("v%d", i+2), 1))
		}
		fault.Heal()
	}
	for _, path := range paths {
		ask(path)
	}
	process.Eventually(t, "the image that nobody may pull to fail", func() bool {
		return strings.Contains(w.kubectl(t, "get", "events", "-A", "-o", "yaml"), "team/other")
	})

	shown := 0
	for _, r := range o.Requests(origin.Everything()) {
		if _, secret, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
			shown++
			secrets[fmt.Sprintf("what the origin was shown with request %d", shown)] = secret
		}
	}
	out.collect(t, w, larder, controller)
	for where, text := range out.seen {
		if len(text) < 20 {
			t.Errorf("there is next to nothing in %s", where)
		}
		for kind, secret := range secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte("alice:" + secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("%s is in %s: ...%s...", kind, where, text[max(0, at-120):at])
				}
			}
		}
	}
	if shown < 10 {
		t.Errorf("the origin was shown secrets %d times: this test may find nothing", shown)
	}
}

// collect adds what is there at the end.
func (o *output) collect(t *testing.T, w *world, larder, controller *process.Larder) {
	t.Helper()
	for name, l := range map[string]*process.Larder{"the registry": larder, "the controller": controller} {
		o.add("the log of "+name, l.Said())
		_, metrics := l.GetHealth(t, "/metrics")
		o.add("the metrics of "+name, string(metrics))
	}
	o.add("events", w.kubectl(t, "get", "events", "-A", "-o", "yaml"))
	o.add("objects", w.kubectl(t, "get", "cachedimages,repositories,configmaps", "-A", "-o", "yaml"))
	err := filepath.WalkDir(filepath.Join(larder.Dir, "larder-data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		o.add("the files of the registry", path+"\n"+string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
