package faults

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// raw sends bytes as they are, which no HTTP client would, and returns the answer.
func raw(t *testing.T, address, request string) answer {
	t.Helper()
	a := answer{what: fmt.Sprintf("%.80q", request)}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// The server may answer, and close, before it has read everything.
	go func() { _, _ = io.WriteString(conn, request) }()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		a.err = err
		return a
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	a.body, a.err = io.ReadAll(resp.Body)
	return a
}

const anyDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// targets are request targets that try to leave their place; none of them names anything.
var targets = []string{
	"/v2/../../../etc/passwd",
	"/v2/reg.example/../../../../etc/passwd/manifests/1",
	"/v2/reg.example/app/../../x/manifests/1",
	"/v2/reg.example/./app/manifests/1",
	"/v2/reg.example//app/manifests/1",
	"/v2/reg.example/app/manifests/",
	"/v2/reg.example/app/manifests/..",
	"/v2/reg.example/app/manifests/../../tags/x",
	"/v2/reg.example/%2e%2e/%2e%2e/app/manifests/1",
	"/v2/reg.example/..%2f..%2fapp/manifests/1",
	"/v2/reg.example/app%2f..%2f..%2fx/manifests/1",
	"/v2/reg.example/app/manifests/..%2f..%2f1",
	"/v2/reg.example/team%2fapp/manifests/1",
	"/v2/reg.example/app/manifests/%2e%2e",
	`/v2/reg.example/..\..\app/manifests/1`,
	"/v2/reg.example/app%00/manifests/1",
	"/v2/reg.example/app/manifests/1%00",
	"/v2/reg.example/app%0d%0aX-Injected:%20yes/manifests/1",
	"/v2/reg.example/_manifests/manifests/1",
	"/v2/reg.example/app/_larder/manifests/1",
	"/v2/reg.example/app/_layers/sha256/blobs/" + anyDigest,
	"/v2/../manifests/1",
	"/v2/..%2f/manifests/1",
	"/v2/reg.example/" + strings.Repeat("a/", 2000) + "a/manifests/1",
	"/v2/reg.example/" + strings.Repeat("a", 20000) + "/manifests/1",
	"/v2/reg.example/app/manifests/" + strings.Repeat("1", 20000),
	"/v2/reg.example/app/blobs/sha256:../../../../etc/passwd",
	"/v2/reg.example/app/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd",
	"/v2/reg.example/app/blobs/../../" + anyDigest,
	"/v2/reg.example/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e",
	"/v2/reg.example/app/blobs/" + strings.ToUpper(anyDigest),
	"/v2/reg.example/app/referrers/sha256:..",
	"/v2/reg.example/APP/manifests/1",
	"/v2/app/manifests/1?ns=..",
	"/v2/app/manifests/1?ns=../../etc",
	"/v2/app/manifests/1?ns=reg.example%2f..%2f..",
	"/v2/app/manifests/1?ns=file:///etc",
	"/v2/app/manifests/1?ns=reg.example%00",
	"/v2/../app/manifests/1?ns=reg.example",
	"http://reg.example/v2/reg.example/../app/manifests/1",
}

// TestHostile_PathsThatLeaveTheirPlace sends names that a careless server would join to a path, by raw sockets: clients clean them.
func TestHostile_PathsThatLeaveTheirPlace(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	s := newPlainSite(t, o)
	before := s.files(t)
	for _, target := range targets {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			a := raw(t, s.Addr, method+" "+target+" HTTP/1.1\r\nHost: larder\r\nConnection: close\r\n\r\n")
			if a.status < 400 || a.status >= 500 {
				t.Errorf("got %v, want a refusal", a)
			}
			if method == http.MethodGet && a.header.Get("Content-Type") == "application/json" && a.code() == "" {
				t.Errorf("got %v, want an error of the spec", a)
			}
			if a.header.Get("X-Injected") != "" {
				t.Errorf("%s: the answer has a field of the client's", a.what)
			}
		}
	}
	if requests := o.Requests(origin.Everything()); len(requests) > 0 {
		t.Errorf("the origin was asked for %s", requests[0].Path)
	}
	if diff := cmp.Diff(before, s.files(t)); diff != "" {
		t.Errorf("the folder changed:\n%s", diff)
	}
	pull(t, s.url(process.Host, "app"), o.Push(t, "app:1", origin.RandomImage(1, origin.MinLayerSize)))
}

// files lists all that lies in the process's folder, and beside it.
func (s *site) files(t *testing.T) []string {
	t.Helper()
	var names []string
	root := filepath.Dir(s.Dir)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, strings.TrimPrefix(path, root))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestHostile_HeaderBombsFromAClient sends more of a header than any client has.
func TestHostile_HeaderBombsFromAClient(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	s := newPlainSite(t, o)
	img := o.Push(t, "app:1", origin.RandomImage(1, origin.MinLayerSize))
	target := "/v2/" + process.Host + "/app/manifests/1"
	for _, test := range []struct{ name, target, header string }{
		{"A field of 16 MiB", target, "X-Bomb: " + strings.Repeat("a", 16<<20) + "\r\n"},
		{"A million fields", target, strings.Repeat("X-Bomb: a\r\n", 1<<20)},
		{"A query of 16 MiB", target + "?" + strings.Repeat("a=b&", 4<<20), ""},
		{"A path of 16 MiB", "/v2/" + strings.Repeat("a", 16<<20) + "/manifests/1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := raw(t, s.Addr, "GET "+test.target+" HTTP/1.1\r\nHost: larder\r\n"+test.header+"\r\n")
			// A reset may overtake the answer, since Larder does not read on.
			if a.err == nil && a.status != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("got %v, want status 431 or a broken connection", a)
			}
		})
	}
	for _, test := range []struct{ name, field, value string }{
		{"Ranges", "Range", "bytes=" + strings.Repeat("0-0,", 10_000) + "0-0"},
		{"Entity tags", "If-None-Match", strings.Repeat(`"a", `, 10_000) + `"a"`},
		{"Media types", "Accept", strings.Repeat("a/b, ", 10_000) + "a/b"},
	} {
		t.Run(test.name+" by the thousand", func(t *testing.T) {
			whole.check(t, ask(t, http.MethodGet, "http://"+s.Addr+target, test.field, test.value), img.Digest)
			layer := img.Blobs[1]
			whole.check(t, ask(t, http.MethodGet, s.url(process.Host, "app")+"/blobs/"+layer.Digest.String(), test.field, test.value), layer.Digest)
		})
	}
	if got := s.megabytes(t); got > sane {
		t.Errorf("the process takes %d MB", got)
	}
}
