package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/leak"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestMain(m *testing.M) { leak.Main(m) }

const (
	manifestBody = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`
	blobBody     = "0123456789abcdefghij"
)

var (
	manifestDigest = digest.FromString(manifestBody)
	blobDigest     = digest.FromString(blobBody)
	absentDigest   = digest.FromString("absent")
)

// fake is a cache that holds one manifest (tag "1.27"), one blob, and what its fields say.
type fake struct {
	outcome   cache.Outcome
	err       error // instead of any answer
	tags      []string
	referrers []ocispec.Descriptor
	unsized   bool                  // the origin does not tell the blob's size
	mediaType string                // of the blob
	stream    func(io.Writer) error // instead of the blob's bytes
	url       string                // where clients are redirected to

	mu    sync.Mutex
	asked []string      // the repositories that were asked for
	opens []fetch.Range // the ranges that were opened
	parts int           // how many parts are open
}

func (f *fake) note(repo imageref.Repository) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, repo.String())
}

func (f *fake) opened() []fetch.Range {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.opens)
}

func (f *fake) stillOpen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parts
}

func (f *fake) lastAsked() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		return ""
	}
	return f.asked[len(f.asked)-1]
}

func (f *fake) ResolveManifest(_ context.Context, repo imageref.Repository, reference string) (ocispec.Descriptor, cache.Outcome, error) {
	f.note(repo)
	if f.err != nil {
		return ocispec.Descriptor{}, f.outcome, f.err
	}
	if reference != "1.27" && reference != manifestDigest.String() {
		return ocispec.Descriptor{}, cache.Outcome{}, &cache.Error{
			Code: cache.CodeManifestUnknown, Status: http.StatusNotFound, Err: fmt.Errorf("%s answered 404", repo.Host),
		}
	}
	return ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: manifestDigest, Size: int64(len(manifestBody)),
	}, f.outcome, nil
}

func (f *fake) Manifest(context.Context, imageref.Repository, ocispec.Descriptor) ([]byte, error) {
	return []byte(manifestBody), nil
}

func (f *fake) Tags(_ context.Context, repo imageref.Repository) ([]string, cache.Outcome, error) {
	f.note(repo)
	return f.tags, f.outcome, f.err
}

func (f *fake) Referrers(_ context.Context, repo imageref.Repository, _ digest.Digest) ([]ocispec.Descriptor, cache.Outcome, error) {
	f.note(repo)
	return f.referrers, f.outcome, f.err
}

func (f *fake) ResolveBlob(_ context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, cache.Outcome, error) {
	f.note(repo)
	if f.err != nil {
		return ocispec.Descriptor{}, f.outcome, f.err
	}
	desc, err := f.describe(dgst)
	return desc, f.outcome, err
}

func (f *fake) BlobURL(_ context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, string) {
	f.note(repo)
	desc, err := f.describe(dgst)
	if err != nil {
		return desc, ""
	}
	return desc, f.url
}

func (f *fake) describe(dgst digest.Digest) (ocispec.Descriptor, error) {
	if dgst != blobDigest {
		return ocispec.Descriptor{}, &cache.Error{
			Code: cache.CodeBlobUnknown, Status: http.StatusNotFound, Err: fmt.Errorf("no blob %s", dgst),
		}
	}
	desc := ocispec.Descriptor{MediaType: f.mediaType, Digest: dgst, Size: int64(len(blobBody))}
	if f.unsized {
		desc.Size = -1
	}
	return desc, nil
}

func (f *fake) open(_ context.Context, repo imageref.Repository, dgst digest.Digest, rng fetch.Range) (part, cache.Outcome, error) {
	f.note(repo)
	if f.err != nil {
		return part{}, f.outcome, f.err
	}
	desc, err := f.describe(dgst)
	if err != nil {
		return part{}, f.outcome, err
	}
	start, end, err := rng.Resolve(desc.Size)
	if err != nil {
		return part{whole: desc}, f.outcome, err
	}
	length := end - start
	if f.unsized {
		end, length = int64(len(blobBody)), -1
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens = append(f.opens, rng)
	f.parts++
	p := part{whole: desc, offset: start, length: length, body: &fakeBody{f: f, bytes: blobBody[start:end]}}
	return p, f.outcome, nil
}

type fakeBody struct {
	f     *fake
	bytes string
}

func (b *fakeBody) WriteTo(w io.Writer) (int64, error) {
	if b.f.stream != nil {
		return 0, b.f.stream(w)
	}
	n, err := io.WriteString(w, b.bytes)
	return int64(n), err
}

func (b *fakeBody) Close() error {
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	b.f.parts--
	return nil
}

// serve runs a handler over f on a real socket and returns the socket's address. At the end of the test every part must have
// been closed.
func serve(t *testing.T, f *fake) string {
	t.Helper()
	s := httptest.NewServer(newHandler(f, f, Options{
		Self:     func() []string { return []string{"larder.example:7439"} },
		Redirect: f.url != "",
		Log:      testr.New(t),
	}))
	t.Cleanup(func() {
		s.Close() // waits for the handlers
		if n := f.stillOpen(); n != 0 {
			t.Errorf("%d parts are still open", n)
		}
	})
	return s.Listener.Addr().String()
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	body string
	err  error // of reading the body
}

// exchange makes one request on a connection of its own; target goes out as it is, and each header is a line "Key: value". The address is the
// Host unless a header says otherwise.
func exchange(t *testing.T, addr, method, target string, headers ...string) reply {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	lines := append([]string{method + " " + target + " HTTP/1.1", "Connection: close"}, headers...)
	if !slices.ContainsFunc(headers, func(line string) bool { return strings.HasPrefix(line, "Host: ") }) {
		lines = append(lines, "Host: "+addr)
	}
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return reply{Response: resp, body: string(body), err: err}
}

// code returns the error code in an OCI error body, empty for any other body.
func (r reply) code() string {
	var body struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal([]byte(r.body), &body) != nil || len(body.Errors) != 1 || body.Errors[0].Message == "" {
		return ""
	}
	return body.Errors[0].Code
}
