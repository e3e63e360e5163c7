package relay

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/larder-dev/larder/internal/token"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const layerSize = 3<<20 + 17

// push puts an image at the origin and returns the path of its first layer, and its content.
func (w *world) push(t *testing.T, repo string) (manifest, layer string, content []byte) {
	t.Helper()
	img := w.origin.Push(t, repo+":1", origin.RandomImage(1, layerSize))
	layer = "/v2/" + host + "/" + repo + "/blobs/" + img.Blobs[1].Digest.String()
	direct := &world{url: w.origin.URL()}
	content = direct.get(t, "GET", "/v2/"+repo+"/blobs/"+img.Blobs[1].Digest.String()).body
	if len(content) != layerSize {
		t.Fatalf("the origin has %d bytes, want %d", len(content), layerSize)
	}
	return "/v2/" + host + "/" + repo + "/manifests/1", layer, content
}

func checkBody(t *testing.T, got reply, status int, want []byte) {
	t.Helper()
	if got.err != nil || got.StatusCode != status || !bytes.Equal(got.body, want) {
		t.Errorf("%d with %d bytes, %v; want %d with the right %d", got.StatusCode, len(got.body), got.err, status, len(want))
	}
}

func TestHandler_RelaysToTheOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	manifest, layer, content := w.push(t, "team/app")
	got := w.get(t, "GET", manifest, "Authorization", "Basic c2VjcmV0")
	if got.StatusCode != 200 || got.Header.Get("Cache-Status") != "larder; fwd=uri-miss; stored" {
		t.Errorf("cold: %d %q", got.StatusCode, got.Header.Get("Cache-Status"))
	}
	checkBody(t, w.get(t, "GET", layer), 200, content)
	mirrored := strings.Replace(layer, host+"/", "", 1) + "?ns=" + host
	checkBody(t, w.get(t, "GET", mirrored), 200, content)
	checkBody(t, w.get(t, "GET", layer, "Range", "bytes=100-"), 206, content[100:])
	head := w.get(t, "HEAD", layer)
	if head.StatusCode != 200 || head.ContentLength != layerSize || head.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("HEAD: %d %v", head.StatusCode, head.Header)
	}
	owner := w.owner(t, "team/app")
	for _, r := range w.replicas {
		if want := map[bool]int{true: 5}[r == owner]; len(r.requests()) != want {
			t.Errorf("a replica got %d requests, want %d", len(r.requests()), want)
		}
		for _, request := range r.requests() {
			if request.Header.Get("Authorization") != "" {
				t.Error("a client's credentials went to the registry")
			}
		}
	}
}

func TestHandler_MovesOnBeforeTheHeaders(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(w http.ResponseWriter, r *http.Request, next http.Handler){
		"Broken":            func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
		"A wrong token":     answerWith(401, apiVersion, "registry/2.0"),
		"A gateway's error": answerWith(502),
		"Shutting down":     answerWith(503, apiVersion, "registry/2.0"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			manifest, layer, content := w.push(t, "team/app")
			owner := w.owner(t, "team/app")
			owner.behave(fail)
			if got := w.get(t, "GET", manifest); got.StatusCode != 200 {
				t.Errorf("manifest: %d %s", got.StatusCode, got.body)
			}
			checkBody(t, w.get(t, "GET", layer), 200, content)
			if n := len(owner.requests()); n != 1 {
				t.Errorf("the replica that failed was asked %d times, want once", n)
			}
		})
	}
}

func answerWith(status int, header ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
	}
}

func TestHandler_PassesOnWhatTheCacheAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		query  string
		want   int
	}{
		"The origin is down":             {502, "", 502},
		"The origin is late":             {504, "", 504},
		"The origin's limit":             {429, "", 429},
		"The origin's limit in a mirror": {429, "?ns=" + host, 503},
		"Not there":                      {404, "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			for _, r := range w.replicas {
				r.behave(answerWith(test.status, apiVersion, "registry/2.0", "Retry-After", "3"))
			}
			path := "/v2/" + host + "/team/app/manifests/1"
			if test.query != "" {
				path = "/v2/team/app/manifests/1" + test.query
			}
			if got := w.get(t, "GET", path); got.StatusCode != test.want || got.Header.Get("Retry-After") != "3" {
				t.Errorf("got %d %v, want %d", got.StatusCode, got.Header, test.want)
			}
			asked := 0
			for _, r := range w.replicas {
				asked += len(r.requests())
			}
			if asked != 1 {
				t.Errorf("%d replicas were asked, want one", asked)
			}
		})
	}
}

func TestHandler_B3_AReplicaThatDiesInABlobIsNotNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	_, layer, content := w.push(t, "team/app")
	owner := w.owner(t, "team/app")
	owner.behave(cut(1 << 20))
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() { checkBody(t, w.get(t, "GET", layer), 200, content) })
		clients.Go(func() {
			checkBody(t, w.get(t, "GET", layer, "Range", "bytes=5-2500000"), 206, content[5:2500001])
		})
	}
	clients.Wait()
	if n := testutil.ToFloat64(w.metrics.Resumes); n == 0 {
		t.Error("nothing was resumed")
	}
}

func TestHandler_B3_TheOriginFinishesWhatNoReplicaCan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	_, layer, content := w.push(t, "team/app")
	w.replicas[0].behave(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Range") != "" {
			panic(http.ErrAbortHandler)
		}
		cut(1<<20)(rw, r, next)
	})
	checkBody(t, w.get(t, "GET", layer), 200, content)
}

func TestHandler_FallsBackToTheOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	manifest, layer, content := w.push(t, "team/app")
	got := w.get(t, "GET", manifest)
	if got.StatusCode != 200 || got.Header.Get(contentDigest) == "" || got.Header.Get("Content-Type") == "" {
		t.Errorf("manifest: %d %v", got.StatusCode, got.Header)
	}
	head := w.get(t, "HEAD", manifest)
	if head.Header.Get(contentDigest) != got.Header.Get(contentDigest) || head.ContentLength != int64(len(got.body)) {
		t.Errorf("HEAD: %v", head.Header)
	}
	checkBody(t, w.get(t, "GET", layer), 200, content)
	checkBody(t, w.get(t, "GET", layer, "Range", "bytes=100-199"), 206, content[100:200])
	checkBody(t, w.get(t, "GET", layer, "Range", fmt.Sprintf("bytes=%d-", layerSize-5)), 206, content[layerSize-5:])
	if got := w.get(t, "HEAD", layer); got.StatusCode != 200 || got.ContentLength != layerSize {
		t.Errorf("HEAD of a blob: %d, %d bytes", got.StatusCode, got.ContentLength)
	}
	if got := w.get(t, "GET", "/v2/"+host+"/team/app/tags/list"); string(got.body) != `{"name":"reg.example/team/app","tags":["1"]}` {
		t.Errorf("tags: %d %s", got.StatusCode, got.body)
	}
	if got := w.get(t, "GET", "/v2/"+host+"/team/app/manifests/2"); got.StatusCode != 404 || !strings.Contains(string(got.body), "MANIFEST_UNKNOWN") {
		t.Errorf("no manifest: %d %s", got.StatusCode, got.body)
	}
	if got := w.get(t, "PUT", manifest); got.StatusCode != 405 {
		t.Errorf("PUT: %d", got.StatusCode)
	}
}

func TestHandler_B4_NoLastByteOfAWrongBlob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	_, layer, _ := w.push(t, "team/app")
	w.origin.Fail(origin.Blobs(), origin.Corrupt(5))
	if got := w.get(t, "GET", layer); got.err == nil || len(got.body) >= layerSize {
		t.Errorf("%d bytes and %v, want a broken connection", len(got.body), got.err)
	}
}

func TestHandler_MirrorModeLeavesTheOriginToTheRuntime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, func(o *Options) { o.Origin = nil })
	w.push(t, "team/app")
	w.origin.Forget()
	for _, path := range []string{"manifests/1", "tags/list", "blobs/sha256:" + strings.Repeat("0", 64)} {
		got := w.get(t, "GET", "/v2/team/app/"+path+"?ns="+host)
		if got.StatusCode != 503 || !strings.Contains(string(got.body), "UNAVAILABLE") {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
	if n := w.origin.Stats().Connections; n != 0 {
		t.Errorf("%d connections to the origin", n)
	}
}

func TestHandler_FollowsToObjectStorageWithoutCredentials(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("hush\nolder\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	content := random(layerSize)
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Larder-Node") != "" {
			t.Errorf("the object storage was shown %v", r.Header)
		}
		rest := content
		if r.Header.Get("Range") == "" {
			w.Header().Set("Content-Length", fmt.Sprint(layerSize))
			_, _ = w.Write(rest[:1<<20])
			panic(http.ErrAbortHandler)
		}
		var first int
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, layerSize-1, layerSize))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(rest[first:])
	}))
	t.Cleanup(storage.Close)
	w := newWorld(t, 1, func(o *Options) { o.Token, o.Node = openToken(t, path), "node-1" })
	w.replicas[0].behave(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
		if r.Header.Get("Authorization") != "Bearer hush" || r.Header.Get("Larder-Node") != "node-1" {
			t.Errorf("the registry was shown %v", r.Header)
		}
		rw.Header().Set(apiVersion, "registry/2.0")
		rw.Header().Set("Location", storage.URL+"/bucket/key?signature=x")
		rw.WriteHeader(http.StatusTemporaryRedirect)
	})
	checkBody(t, w.get(t, "GET", "/v2/"+host+"/team/app/blobs/sha256:"+strings.Repeat("0", 64)), 200, content)
}

func TestHandler_ReadsTheTokenAgainWhenItIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old\n")
	w := newWorld(t, 1, func(o *Options) { o.Token, o.Origin = openToken(t, path), nil })
	manifest, _, _ := w.push(t, "team/app")
	good := "old"
	w.replicas[0].behave(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Authorization") != "Bearer "+good {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(rw, r)
	})
	if got := w.get(t, "GET", manifest); got.StatusCode != 200 {
		t.Errorf("the first token: %d", got.StatusCode)
	}
	write("new\n")
	good = "new"
	if got := w.get(t, "GET", manifest); got.StatusCode != 200 {
		t.Errorf("the second token: %d", got.StatusCode)
	}
}

func TestHandler_AnswersAloneOutsideTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	if got := w.get(t, "GET", "/v3/x"); got.StatusCode != 404 || len(w.replicas[0].requests()) != 0 {
		t.Errorf("got %d after %d requests", got.StatusCode, len(w.replicas[0].requests()))
	}
}

func openToken(t *testing.T, path string) *token.File {
	t.Helper()
	file, err := token.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestHandler_TakesNothingUnaskedForAnAnswer has a replica send what informs, and bytes that nobody asked for.
func TestHandler_TakesNothingUnaskedForAnAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	manifest, layer, content := w.push(t, "team/app")
	w.replicas[0].behave(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		rw.WriteHeader(http.StatusEarlyHints)
		next.ServeHTTP(rw, r)
	})
	for range 3 {
		if got := w.get(t, "GET", manifest); got.StatusCode != 200 || !strings.Contains(string(got.body), "schemaVersion") {
			t.Errorf("manifest: %d %s", got.StatusCode, got.body)
		}
		checkBody(t, w.get(t, "GET", layer), 200, content)
	}
}
