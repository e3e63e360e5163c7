package conformance

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/process"
)

// site is a running larder with its origin.
type site struct {
	*content
	larder *process.Larder
}

func newSite(t *testing.T, c *content, config ...string) *site {
	t.Helper()
	return &site{c, process.New(t, c.origin, config...)}
}

// in is the path of what lies in the repository, as the path form names it.
func in(rest string) string { return "/v2/" + process.Host + "/" + repository + "/" + rest }

// ask asks larder, and holds the answer to what is true of all answers.
func (s *site) ask(t *testing.T, method, path string, header ...string) answer {
	t.Helper()
	got := ask(t, "http://"+s.larder.Addr, method, s.fill(path), header...)
	got.hold(t)
	return got
}

// answer is a whole answer.
type answer struct {
	*http.Response
	body []byte
	what string // the request, for messages
}

// client takes answers as they are: no redirect is followed, nothing is decoded.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func ask(t *testing.T, base, method, path string, header ...string) answer {
	t.Helper()
	got, err := exchange(t.Context(), base, method, path, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return got
}

func exchange(ctx context.Context, base, method, path string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, base+path, nil)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp, body, method + " " + path}, err
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Errorf("%s: reading %q: %v", a.what, oneLine(a.body), err)
	}
}

// hold checks what is true of every answer: the length, the digest of a whole body, and that an error is one of the spec's.
func (a answer) hold(t *testing.T) {
	t.Helper()
	head := a.Request.Method == http.MethodHead
	if length := a.Header.Get("Content-Length"); !head && a.StatusCode != http.StatusNotModified && length != strconv.Itoa(len(a.body)) {
		t.Errorf("%s: got Content-Length %q and %d bytes", a.what, length, len(a.body))
	}
	dgst := digest.Digest(a.Header.Get("Docker-Content-Digest"))
	if dgst != "" && a.Header.Get("Etag") != `"`+dgst.String()+`"` {
		t.Errorf("%s: got ETag %q for digest %s", a.what, a.Header.Get("Etag"), dgst)
	}
	switch {
	case head || a.StatusCode == http.StatusNotModified:
		if len(a.body) > 0 {
			t.Errorf("%s: got a body of %d bytes", a.what, len(a.body))
		}
	case a.StatusCode == http.StatusOK && dgst != "":
		if got := digest.FromBytes(a.body); got != dgst {
			t.Errorf("%s: the body has the digest %s, the header says %s", a.what, got, dgst)
		}
	case a.StatusCode >= 400:
		a.code(t)
	}
}

// codes are those of the spec, and the registries' common ones for what the spec has none for.
var codes = []string{
	"BLOB_UNKNOWN", "DENIED", "DIGEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN",
	"PAGINATION_NUMBER_INVALID", "RANGE_INVALID", "TOOMANYREQUESTS", "UNAVAILABLE", "UNSUPPORTED",
}

// code is that of an error body, which must be one by the spec. It is empty for HEAD.
func (a answer) code(t *testing.T) string {
	t.Helper()
	var errs struct {
		Errors []struct{ Code, Message string }
	}
	if a.Request.Method == http.MethodHead {
		return ""
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: status %d has the type %q, want application/json", a.what, a.StatusCode, got)
	}
	a.into(t, &errs)
	if len(errs.Errors) != 1 || !slices.Contains(codes, errs.Errors[0].Code) || errs.Errors[0].Message == "" {
		t.Errorf("%s: status %d has the body %q, want one error of the spec", a.what, a.StatusCode, oneLine(a.body))
		return ""
	}
	return errs.Errors[0].Code
}

// want checks the status, and stops the test where it is another.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s: got status %d, want %d: %s", a.what, a.StatusCode, status, oneLine(a.body))
	}
	return a
}

// refusedAs checks that the origin's failure is told as D1 and T9 demand.
func (a answer) refusedAs(t *testing.T, st state) {
	t.Helper()
	a.want(t, st.refused)
	if code := a.code(t); a.Request.Method != http.MethodHead && code != st.code {
		t.Errorf("%s: got code %q, want %q", a.what, code, st.code)
	}
	if st.refused != http.StatusTooManyRequests {
		return
	}
	if got, _ := strconv.Atoi(a.Header.Get("Retry-After")); got < 1 || got > 7 {
		t.Errorf("%s: got Retry-After %q, want the origin's %s or what is left of it", a.what, a.Header.Get("Retry-After"), retryAfter)
	}
}
