package hooks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
)

const secret = "hunter2"

// refreshes notes what it is to refresh.
type refreshes struct {
	mu    sync.Mutex
	asked []string
	err   error
	none  bool // nobody wants it
}

func (r *refreshes) Refresh(_ context.Context, ref imageref.Reference, why string) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	if r.none {
		return 0, nil
	}
	r.asked = append(r.asked, why+" "+ref.String())
	return 1, nil
}

func (r *refreshes) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

func newHandler(t *testing.T, r *refreshes) (*Handler, http.Handler) {
	t.Helper()
	dir := t.TempDir()
	for _, source := range Sources() {
		if err := os.WriteFile(filepath.Join(dir, source), []byte("old\n"+secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secrets, err := OpenSecrets(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := New(Options{Secrets: secrets, Refresher: r, Metrics: metrics.NewHooks(prometheus.NewRegistry()), Log: logr.Discard()})
	mux := http.NewServeMux()
	mux.Handle(Path, h)
	return h, mux
}

// sign is what GitHub does with a body.
func sign(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func post(handler http.Handler, path string, body io.Reader, header http.Header) int {
	r := httptest.NewRequest(http.MethodPost, path, body)
	r.Header = header
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code
}

// proof is what a registry shows of a secret.
func proof(source string, body []byte, secret string) (query string, header http.Header) {
	header = headerOf(source)
	switch source {
	case "github":
		header.Set("X-Hub-Signature-256", sign(body, secret))
	case "distribution":
		header.Set("Authorization", "Bearer "+secret)
	case "harbor":
		header.Set("Authorization", secret)
	default:
		query = "?secret=" + secret
	}
	return query, header
}

func TestHandler_EachRegistryByItsOwnProof(t *testing.T) {
	t.Parallel()
	for _, source := range Sources() {
		asked := &refreshes{}
		h, handler := newHandler(t, asked)
		body := example(t, source)
		send := func(secret string) int {
			query, header := proof(source, body, secret)
			return post(handler, "/hooks/"+source+query, strings.NewReader(string(body)), header)
		}
		if got := send("wrong"); got != http.StatusForbidden {
			t.Errorf("%s: a wrong secret gets %d, want 403", source, got)
		}
		if got := post(handler, "/hooks/"+source, strings.NewReader(string(body)), headerOf(source)); got != http.StatusUnauthorized {
			t.Errorf("%s: no secret gets %d, want 401", source, got)
		}
		if asked.count() > 0 {
			t.Errorf("%s: a stranger causes %v", source, asked.asked)
		}
		if got := send(secret); got != http.StatusAccepted || asked.count() == 0 || !strings.HasPrefix(asked.asked[0], source+" ") {
			t.Errorf("%s: its secret gets %d, and causes %v", source, got, asked.asked)
		}
		if got := testutil.ToFloat64(h.o.Metrics.Requests.WithLabelValues(source, "denied")); got != 2 {
			t.Errorf("%s: %v denied ones are counted, want 2", source, got)
		}
	}
}

func TestHandler_RefusesWhatItNeedNotTake(t *testing.T) {
	t.Parallel()
	asked := &refreshes{}
	_, handler := newHandler(t, asked)
	bearer := http.Header{"Authorization": {"Bearer " + secret}}
	large := `{"events":[],"x":"` + strings.Repeat("x", largestBody) + `"}`
	for name, test := range map[string]struct {
		path string
		body io.Reader
		want int
	}{
		"Another registry":         {"/hooks/nobody", strings.NewReader("{}"), http.StatusNotFound},
		"A large body":             {"/hooks/distribution", strings.NewReader(large), http.StatusRequestEntityTooLarge},
		"A large body, in chunks":  {"/hooks/distribution", io.MultiReader(strings.NewReader(large)), http.StatusRequestEntityTooLarge},
		"What is no notification":  {"/hooks/distribution", strings.NewReader("<xml>"), http.StatusBadRequest},
		"A notification about air": {"/hooks/distribution", strings.NewReader(`{"events":[]}`), http.StatusAccepted},
	} {
		if got := post(handler, test.path, test.body, bearer); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/hooks/distribution", nil)
	w := httptest.NewRecorder()
	if handler.ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("a GET gets %d, want 405", w.Code)
	}
	if asked.count() > 0 {
		t.Errorf("they caused %v", asked.asked)
	}
}

func TestHandler_OneRegistryCannotAskWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, handler := newHandler(t, &refreshes{none: true})
		body := string(example(t, "quay"))
		codes := map[int]int{}
		for range 2 * burst {
			codes[post(handler, "/hooks/quay?secret="+secret, strings.NewReader(body), http.Header{})]++
		}
		if codes[http.StatusAccepted] != burst || codes[http.StatusTooManyRequests] != burst {
			t.Errorf("the answers are %v, want half of them 429", codes)
		}
		time.Sleep(time.Second)
		if got := post(handler, "/hooks/quay?secret="+secret, strings.NewReader(body), http.Header{}); got != http.StatusAccepted {
			t.Errorf("a second later it gets %d, want 202", got)
		}
	})
}

func TestHandler_PushesThatFollowEachOtherAreOneCheckAndNoneIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := &refreshes{}
		h, handler := newHandler(t, asked)
		ctx, cancel := context.WithCancel(t.Context())
		go h.Run(ctx)
		body := string(example(t, "dockerhub"))
		push := func() {
			if got := post(handler, "/hooks/dockerhub?secret="+secret, strings.NewReader(body), http.Header{}); got != http.StatusAccepted {
				t.Errorf("a push gets %d, want 202", got)
			}
		}
		for range 5 {
			push()
		}
		if n := asked.count(); n != 1 {
			t.Errorf("%d checks at once, want 1", n)
		}
		time.Sleep(between + 2*time.Second)
		if n := asked.count(); n != 2 {
			t.Errorf("%d checks then, want the one that the others asked for too", n)
		}
		time.Sleep(3 * between)
		h.pace.mu.Lock()
		remembered := len(h.pace.tags)
		h.pace.mu.Unlock()
		if n := asked.count(); n != 2 || remembered > 0 {
			t.Errorf("%d checks, %d tags remembered; want nothing more", n, remembered)
		}
		asked.mu.Lock()
		asked.err = errors.New("no API server")
		asked.mu.Unlock()
		if got := post(handler, "/hooks/dockerhub?secret="+secret, strings.NewReader(body), http.Header{}); got != http.StatusServiceUnavailable {
			t.Errorf("without an API server it gets %d, want 503: the registry is to come again", got)
		}
		asked.mu.Lock()
		asked.err = nil
		asked.mu.Unlock()
		push()
		if n := asked.count(); n != 3 {
			t.Errorf("%d checks, want 3", n)
		}
		cancel()
		synctest.Wait()
	})
}

// slow is a body of which each byte takes a while.
type slow struct{}

func (slow) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	p[0] = ' '
	return 1, nil
}

func TestHandler_ASlowBodyIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, handler := newHandler(t, &refreshes{})
		began := time.Now()
		if got := post(handler, "/hooks/quay?secret="+secret, slow{}, http.Header{}); got != http.StatusRequestTimeout || time.Since(began) > bodyTime+2*time.Second {
			t.Errorf("it gets %d after %v, want 408 after %v", got, time.Since(began), bodyTime)
		}
	})
}

func TestOpenSecrets_NeedsOne(t *testing.T) {
	t.Parallel()
	if _, err := OpenSecrets(t.TempDir()); err == nil || !strings.Contains(err.Error(), "github") {
		t.Errorf("an empty folder: %v, want what to write", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "harbor"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets, err := OpenSecrets(dir)
	if err != nil || len(secrets) != 1 || !slices.Contains(Sources(), "harbor") {
		t.Errorf("got %v, %v", secrets, err)
	}
	_, handler := func() (*Handler, http.Handler) {
		h := New(Options{Secrets: secrets, Refresher: &refreshes{}, Metrics: metrics.NewHooks(prometheus.NewRegistry()), Log: logr.Discard()})
		mux := http.NewServeMux()
		mux.Handle(Path, h)
		return h, mux
	}()
	if got := post(handler, "/hooks/quay?secret="+secret, strings.NewReader("{}"), http.Header{}); got != http.StatusNotFound {
		t.Errorf("a registry without a secret gets %d, want 404", got)
	}
}
