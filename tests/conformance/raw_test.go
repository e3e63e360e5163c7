package conformance

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
)

// TestConformance_RawRequests sends what clients and proxies would normalise, byte for byte. Nothing of it may reach another
// repository than the one that is written there, be redirected, or ask an origin.
func TestConformance_RawRequests(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		target string
		status int
	}{
		"Slashes in front":         {"//v2/", 404},
		"Slashes inside":           {"/v2//reg.example/conformance/data/manifests/tagtest0", 400},
		"Slashes before the end":   {"/v2/reg.example/conformance/data//manifests/tagtest0", 400},
		"Slashes before the tag":   {"/v2/reg.example/conformance/data/manifests//tagtest0", 400},
		"A slash at the end":       {"/v2/reg.example/conformance/data/manifests/tagtest0/", 400},
		"Dot":                      {"/v2/./reg.example/conformance/data/manifests/tagtest0", 400},
		"Dots upward":              {"/v2/reg.example/other/../conformance/data/manifests/tagtest0", 400},
		"Dots out of the API":      {"/v2/../../../etc/passwd", 400},
		"Dots before the API":      {"/x/../v2/reg.example/conformance/data/manifests/tagtest0", 404},
		"Dots as a tag":            {"/v2/reg.example/conformance/data/manifests/..", 404},
		"Encoded dots":             {"/v2/reg.example/%2e%2e/conformance/data/manifests/tagtest0", 400},
		"An encoded slash":         {"/v2/reg.example/conformance%2fdata/manifests/tagtest0", 400},
		"An encoded slash, upper":  {"/v2/reg.example/conformance%2Fdata/manifests/tagtest0", 400},
		"Encoded upward":           {"/v2/reg.example/conformance/data/manifests/..%2f..%2f..%2fetc%2fpasswd", 400},
		"Encoded twice":            {"/v2/reg.example/conformance%252fdata/manifests/tagtest0", 400},
		"A backslash":              {`/v2/reg.example/conformance\data/manifests/tagtest0`, 400},
		"A zero byte, encoded":     {"/v2/reg.example/conformance/data%00/manifests/tagtest0", 400},
		"A line end, encoded":      {"/v2/reg.example/conformance/data/manifests/tag%0d%0aX-Y:%20z", 400},
		"A semicolon":              {"/v2/reg.example/conformance/data;x/manifests/tagtest0", 400},
		"Not UTF-8":                {"/v2/reg.example/conformance/%ff/manifests/tagtest0", 400},
		"A bad escape":             {"/v2/reg.example/conformance/%zz/manifests/tagtest0", 400},
		"A star":                   {"*", 404},
		"No slash":                 {"v2/", 400},
		"An absolute form, ours":   {"http://HOST/v2/", 200},
		"An absolute form, theirs": {"http://169.254.169.254/latest/meta-data/", 404},
		"Without a slash":          {"/v2", 200},
		"An encoded letter":        {"/v2/reg.example/conformance/d%61ta/manifests/.x", 404},
	}
	c := newContent(t)
	s := newSite(t, c)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := strings.ReplaceAll(tt.target, "HOST", s.larder.Addr)
			for _, method := range []string{"GET", "HEAD"} {
				got := s.raw(t, method+" "+target+" HTTP/1.1\r\nHost: "+s.larder.Addr+"\r\nConnection: close\r\n\r\n")
				if got.StatusCode != tt.status || got.Header.Get("Location") != "" || got.Header.Get("X-Y") != "" {
					t.Errorf("%s %s: got %s with %v, want %d", method, target, got.Status, got.Header, tt.status)
				}
				// What net/http refuses itself never comes to where the spec's error bodies are made.
				if got.Header.Get("Docker-Distribution-Api-Version") != "" {
					got.hold(t)
				}
			}
		})
	}
	t.Cleanup(func() {
		if n := c.origin.Count(origin.Everything()); n != 0 {
			t.Errorf("the origin was asked %d times, want never", n)
		}
	})
}

// TestConformance_RawProtocol speaks to the edge of HTTP, and asks afterwards whether all is well.
func TestConformance_RawProtocol(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		request string // HOST and TAG stand for the right ones
		status  int    // 0: the connection ends without an answer
	}{
		"HTTP/1.0":                 {"GET TAG HTTP/1.0\r\n\r\n", 200},
		"HTTP/1.0 with a host":     {"GET TAG HTTP/1.0\r\nHost: HOST\r\n\r\n", 200},
		"No host":                  {"GET TAG HTTP/1.1\r\n\r\n", 400},
		"Two hosts":                {"GET TAG HTTP/1.1\r\nHost: HOST\r\nHost: x\r\n\r\n", 400},
		"HTTP/3.0":                 {"GET TAG HTTP/3.0\r\nHost: HOST\r\n\r\n", 505},
		"A space in the target":    {"GET /v2/ x HTTP/1.1\r\nHost: HOST\r\n\r\n", 400},
		"No method":                {" /v2/ HTTP/1.1\r\nHost: HOST\r\n\r\n", 400},
		"Garbage":                  {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400},
		"A connection to anywhere": {"CONNECT example.com:443 HTTP/1.1\r\nHost: HOST\r\n\r\n", 404},
		"A body with GET":          {"GET TAG HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 200},
		"Two lengths":              {"GET TAG HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400},
		"An unknown encoding":      {"GET TAG HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
		"An upgrade":               {"GET TAG HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", 200},
		"A header too large":       {"GET TAG HTTP/1.1\r\nHost: HOST\r\nX: " + strings.Repeat("x", 4<<20) + "\r\n\r\n", 431},
		"A target too long":        {"GET /v2/" + strings.Repeat("a/", 2<<20) + " HTTP/1.1\r\nHost: HOST\r\n\r\n", 431},
		"A range header too long":  {"GET TAG HTTP/1.1\r\nHost: HOST\r\nRange: bytes=" + strings.Repeat("0-0,", 4000) + "1-1\r\nConnection: close\r\n\r\n", 200},
	}
	s := newSite(t, newContent(t))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := strings.NewReplacer("HOST", s.larder.Addr, "TAG", in("manifests/"+tag)).Replace(tt.request)
			if got := s.raw(t, request); got.StatusCode != tt.status {
				t.Errorf("got %s, want %d: %s", got.Status, tt.status, oneLine(got.body))
			}
			s.ask(t, "GET", in("manifests/"+tag)).want(t, 200)
		})
	}
}

// TestConformance_PipelinedRequests holds that answers on one connection come in order and whole.
func TestConformance_PipelinedRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t, newContent(t))
	conn := s.dial(t)
	paths := []string{"manifests/{tag}", "blobs/{blob}", "blobs/{empty}", "manifests/.none", "tags/list", "blobs/{json}"}
	var requests strings.Builder
	for _, path := range paths {
		requests.WriteString("GET " + s.fill(in(path)) + " HTTP/1.1\r\nHost: " + s.larder.Addr + "\r\n\r\n")
	}
	if _, err := io.WriteString(conn, requests.String()); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for _, path := range paths {
		got := read(t, r, "GET")
		alone := s.ask(t, "GET", in(path))
		if got.StatusCode != alone.StatusCode || string(got.body) != string(alone.body) {
			t.Errorf("%s: got %s and %d bytes, alone %s and %d", path, got.Status, len(got.body), alone.Status, len(alone.body))
		}
	}
}

func (s *site) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.larder.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// raw sends bytes, and reads one answer.
func (s *site) raw(t *testing.T, request string) answer {
	t.Helper()
	conn := s.dial(t)
	go func() { _, _ = io.WriteString(conn, request) }() // who refuses early does not read it all
	method, _, _ := strings.Cut(request, " ")
	return read(t, bufio.NewReader(conn), method)
}

func read(t *testing.T, r *bufio.Reader, method string) answer {
	t.Helper()
	req := &http.Request{Method: method}
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, body, method}
}
