package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/tests/origin"
)

// answer is what a client got. Where err is not nil the connection broke, or there was no answer at all.
type answer struct {
	what   string
	status int
	header http.Header
	body   []byte
	err    error
}

// client takes answers as they come. Like containerd it gives up where no headers arrive within 30 s (T1).
var client = &http.Client{
	Transport: &http.Transport{
		DisableCompression: true, DisableKeepAlives: true, ResponseHeaderTimeout: 30 * time.Second,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask asks a server for a path and holds the answer to what is true of all answers. Names and values of header fields come in turn.
func ask(t testing.TB, method, url string, header ...string) answer {
	t.Helper()
	a := answer{what: method + " " + url}
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Errorf("%s: %v", a.what, err)
		return a
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		a.err = err
		return a
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	a.body, a.err = io.ReadAll(resp.Body)
	a.hold(t, method)
	return a
}

// hold fails the test for the one thing that must never be: wrong bytes presented as a complete answer.
func (a answer) hold(t testing.TB, method string) {
	t.Helper()
	if a.err != nil || method == http.MethodHead {
		return
	}
	if length := a.header.Get("Content-Length"); length != "" && length != strconv.Itoa(len(a.body)) {
		t.Errorf("%s: a complete answer of %d bytes says that it has %s", a.what, len(a.body), length)
	}
	if a.status != http.StatusOK {
		return
	}
	told := digest.Digest(a.header.Get("Docker-Content-Digest"))
	if told != "" && digest.FromBytes(a.body) != told {
		t.Errorf("%s: a complete answer has the digest %s and says %s", a.what, digest.FromBytes(a.body), told)
	}
	if _, asked, found := strings.Cut(a.what, "sha256:"); found && told != "" && told.Encoded() != asked {
		t.Errorf("%s: the answer is %s", a.what, told)
	}
}

// String describes the answer for messages.
func (a answer) String() string {
	if a.err != nil && a.status == 0 {
		return fmt.Sprintf("%s: no answer: %v", a.what, a.err)
	}
	s := fmt.Sprintf("%s: status %d, %q, %d bytes", a.what, a.status, a.header.Get("Cache-Status"), len(a.body))
	if a.err != nil {
		return s + ", then " + a.err.Error()
	}
	if a.status >= 400 {
		s += ": " + strings.TrimSpace(string(a.body[:min(len(a.body), 300)]))
	}
	return s
}

// code is the code of an OCI error body; it is empty where there is none.
func (a answer) code() string {
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(a.body, &body) != nil || len(body.Errors) != 1 || body.Errors[0].Message == "" {
		return ""
	}
	return body.Errors[0].Code
}

// items are the tags or the digests in a list, sorted; nil where there are none.
func (a answer) items(t testing.TB) []string {
	t.Helper()
	var list struct {
		Tags      []string
		Manifests []ocispec.Descriptor
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		t.Errorf("%v: %v", a, err)
	}
	var items []string
	for _, d := range list.Manifests {
		items = append(items, d.Digest.String())
	}
	items = append(items, list.Tags...)
	slices.Sort(items)
	return items
}

// holds says whether the answer is whole, and has dgst.
func (a answer) holds(dgst digest.Digest) bool {
	return a.err == nil && a.status == http.StatusOK && digest.FromBytes(a.body) == dgst
}

// pull pulls an image with all that it names, and compares every byte to what was pushed. base is "http://host:port/v2/repository".
func pull(t testing.TB, base string, img origin.Image) bool {
	t.Helper()
	reference := img.Tag
	if reference == "" {
		reference = img.Digest.String()
	}
	if a := ask(t, http.MethodGet, base+"/manifests/"+reference); !a.holds(img.Digest) {
		t.Errorf("pulling %s: want manifest %s, got %v", img.Name(), img.Digest, a)
		return false
	}
	ok := true
	for _, b := range img.Blobs {
		ok = pullBlob(t, base, b) && ok
	}
	for _, child := range img.Manifests {
		child.Repository, child.Tag = img.Repository, ""
		ok = pull(t, base, child) && ok
	}
	return ok
}

func pullBlob(t testing.TB, base string, b ocispec.Descriptor) bool {
	t.Helper()
	a := ask(t, http.MethodGet, base+"/blobs/"+b.Digest.String())
	if !a.holds(b.Digest) {
		t.Errorf("pulling blob %s: got %v", b.Digest, a)
		return false
	}
	return true
}

// begin asks for a path and returns when n bytes of the body are here; finish returns the whole.
func begin(t testing.TB, url string, n int) (finish func() ([]byte, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	head := make([]byte, n)
	if _, err := io.ReadFull(resp.Body, head); err != nil {
		t.Fatalf("GET %s: the first %d bytes: %v", url, n, err)
	}
	return func() ([]byte, error) {
		rest, err := io.ReadAll(resp.Body)
		return append(head, rest...), err
	}
}
