package origin_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-dev/larder/hack/bench/internal/content"
	"github.com/larder-dev/larder/hack/bench/internal/load"
	"github.com/larder-dev/larder/hack/bench/internal/origin"
)

const repository = "team/app"

// started is an origin with one image.
type started struct {
	origin.Control
	url string
	img content.Image
}

func start(t *testing.T) started {
	t.Helper()
	folder, err := content.New(t.TempDir(), repository)
	if err != nil {
		t.Fatal(err)
	}
	img, err := folder.AddImage("latest", 100_000)
	if err != nil {
		t.Fatal(err)
	}
	address, control := freeAddress(t), freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- origin.Serve(ctx, folder.Root, address, control) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	s := started{Control: origin.Control{URL: "http://" + control}, url: "http://" + address + "/v2/" + repository, img: img}
	await(t, address)
	await(t, control)
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func await(t *testing.T, address string) {
	t.Helper()
	for range time.Tick(time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// answer is what a client got, also of an answer that was cut off.
type answer struct {
	status int
	digest string
	body   []byte
}

func (s started) get(t *testing.T, path string, header ...string) (answer, error) {
	t.Helper()
	return s.getWithin(t, time.Minute, path, header...)
}

func (s started) getWithin(t *testing.T, limit time.Duration, path string, header ...string) (answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("Docker-Content-Digest"), body}, err
}

func TestOrigin_ServesWhatWasMadeAndCountsIt(t *testing.T) {
	t.Parallel()
	s := start(t)
	got, err := s.get(t, "/manifests/latest")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(s.img.Manifest), string(got.body)); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	if got.digest != s.img.Digest {
		t.Errorf("got digest %s, want %s", got.digest, s.img.Digest)
	}
	layer := s.img.Blobs[1]
	original, err := content.Open(layer)
	if err != nil {
		t.Fatal(err)
	}
	defer original.Close()
	if err := load.Blob(t.Context(), s.url+"/blobs/"+layer.Digest, original); err != nil {
		t.Error(err)
	}
	if part, err := s.get(t, "/blobs/"+layer.Digest, "Range", "bytes=99990-"); err != nil || string(part.body) != string(original[99_990:]) {
		t.Errorf("a range: got %d bytes and %v, want the last 10", len(part.body), err)
	}
	sent, err := s.Sent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := sent.Bytes["/v2/"+repository+"/blobs/"+layer.Digest]; got != 100_010 {
		t.Errorf("counted %d bytes, want 100,010", got)
	}
}

func TestOrigin_FailsAsItIsTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	set := func(m origin.Mode) {
		t.Helper()
		if err := s.Set(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	set(origin.Mode{Status: http.StatusServiceUnavailable})
	if got, err := s.get(t, "/manifests/latest"); err != nil || got.status != http.StatusServiceUnavailable {
		t.Errorf("failing: got %d and %v, want 503", got.status, err)
	}
	set(origin.Mode{Hang: true})
	const soon = 300 * time.Millisecond
	if _, err := s.getWithin(t, soon, "/manifests/latest"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging: got %v, want no answer", err)
	}
	set(origin.Mode{Rate: 1000})
	if got, err := s.getWithin(t, soon, "/blobs/"+s.img.Blobs[1].Digest); !errors.Is(err, context.DeadlineExceeded) || len(got.body) > 1000 {
		t.Errorf("at 1,000 bytes a second: got %d bytes and %v within %s", len(got.body), err, soon)
	}
}
