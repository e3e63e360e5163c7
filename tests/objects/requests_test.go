package objects

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
	"github.com/opencontainers/go-digest"
)

// remembered is how long a replica takes what it read for what is stored.
const remembered = 5 * time.Second

// TestRequests_OfEachPull pins what object storage is asked for. A replica that was just started knows nothing; one whose records are
// older than five seconds reads them again, since others may have written them.
func TestRequests_OfEachPull(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "app:1", origin.RandomImage(1, 100<<10))
	meter := server.NewMeter(t)
	l := replica(t, o, meter.Endpoint, server.Bucket(t), "updateInterval: 0s")
	tag, blob := "/v2/"+process.Host+"/app/manifests/1", "/v2/"+process.Host+"/app/blobs/"+string(img.Blobs[1].Digest)
	pull(t, l, tag, blob)
	l.Settle(t)
	told := func(what string, want map[string]int, do func()) {
		t.Helper()
		meter.Take()
		do()
		if diff := cmp.Diff(want, meter.Take()); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", what, diff)
		}
	}
	fresh := func(what string, want map[string]int, do func()) { // but now and then: what is remembered ends meanwhile
		t.Helper()
		var diffs []string
		began := time.Now()
		for range 6 {
			meter.Take()
			do()
			if diff := cmp.Diff(want, meter.Take()); diff != "" {
				diffs = append(diffs, diff)
			}
		}
		const memories = 2 // that each pull looks at: a record, and what a sweep is deleting
		if len(diffs) > memories*(1+int(time.Since(began)/remembered)) {
			t.Errorf("%s: requests (-want +got):\n%s", what, strings.Join(diffs, "\n"))
		}
	}
	fresh("a tag check, unchanged", map[string]int{"GET": 2, "PUT": 1}, func() { get(t, l, "HEAD", tag) })
	fresh("a blob", map[string]int{"GET": 1}, func() { get(t, l, "GET", blob) })
	fresh("a part of a blob", map[string]int{"GET": 1}, func() { get(t, l, "GET", blob, "Range", "bytes=5-9") })
	fresh("the manifest by digest", map[string]int{}, func() { get(t, l, "GET", "/v2/"+process.Host+"/app/manifests/"+string(img.Digest)) })

	added := o.Push(t, "fresh:1", origin.RandomImage(1, 100<<10))
	atMost := func(what string, want map[string]int, do func()) {
		t.Helper()
		meter.Take()
		began := time.Now()
		do()
		got := meter.Take()
		want["GET"] += 1 + int(time.Since(began)/remembered) // one in that time: whether a sweep is deleting it
		for kind, n := range got {
			if n > want[kind] {
				t.Errorf("%s: %d requests of kind %s, want %d at most: %v", what, n, kind, want[kind], got)
			}
		}
	}
	atMost("a tag that is new", map[string]int{"GET": 10, "HEAD": 2, "LIST": 1, "PUT": 6}, func() { get(t, l, "GET", "/v2/"+process.Host+"/fresh/manifests/1") })
	atMost("a blob that is new", map[string]int{"GET": 7, "HEAD": 3, "LIST": 2, "PUT": 3}, func() {
		get(t, l, "GET", "/v2/"+process.Host+"/fresh/blobs/"+string(added.Blobs[1].Digest))
		l.Settle(t)
	})

	l.Write(t, "repositories/never.yaml", "apiVersion: larder.dev/v1alpha1\nkind: Repository\nmetadata: {name: app}\nspec: {name: "+process.Host+"/app, updateInterval: never}\n")
	process.Eventually(t, "the policy to hold", func() bool {
		answer, _ := l.Get(t, "HEAD", tag)
		return answer.Header.Get("Cache-Status") == "larder; hit"
	})
	fresh("a tag that is not checked", map[string]int{}, func() { get(t, l, "HEAD", tag) })

	time.Sleep(remembered) // what is tested is that the memory of records ends
	told("the same after five seconds", map[string]int{"GET": 1}, func() { get(t, l, "HEAD", tag) })
	told("the blob after five seconds", map[string]int{"GET": 2}, func() { get(t, l, "GET", blob) })

	l.Restart(t)
	meter.Await(t, "LIST", 8) // the start looks once for pins whose objects went meanwhile: two repositories, with a tag each
	meter.Await(t, "GET", 2)
	meter.Take()
	told("the tag after a restart", map[string]int{"GET": 1}, func() { get(t, l, "HEAD", tag) })
}

func TestRedirect_SendsClientsToTheBucket(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "app:1", origin.RandomImage(1, 100<<10))
	meter := server.NewMeter(t)
	l := replica(t, o, meter.Endpoint, server.Bucket(t), "objectStorage: {redirect: true}")
	tag, path := "/v2/"+process.Host+"/app/manifests/1", "/v2/app/blobs/"+string(img.Blobs[1].Digest)+"?ns="+process.Host
	pull(t, l, tag, path)
	l.Settle(t)
	meter.Take()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get("http://" + l.Addr + path)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusTemporaryRedirect || answer.Header.Get("Cache-Status") != "larder; hit" {
		t.Errorf("got status %d and %q, want a redirect of a hit", answer.StatusCode, answer.Header.Get("Cache-Status"))
	}
	if diff := cmp.Diff(map[string]int{"HEAD": 1}, meter.Take()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if _, body := l.Get(t, "GET", path); digest.FromBytes(body) != img.Blobs[1].Digest {
		t.Errorf("following the redirect gave %d bytes of another digest", len(body))
	}
}

func pull(t *testing.T, l *process.Larder, paths ...string) {
	t.Helper()
	for _, path := range paths {
		get(t, l, "GET", path)
	}
}

func get(t *testing.T, l *process.Larder, method, path string, header ...string) []byte {
	t.Helper()
	answer, body := l.Get(t, method, path, header...)
	if answer.StatusCode/100 != 2 {
		t.Fatalf("%s %s: status %d: %s", method, path, answer.StatusCode, body)
	}
	return body
}
