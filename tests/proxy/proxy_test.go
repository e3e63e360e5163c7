package proxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	most      = 20_000_000 // bytes of the binary
	blobSize  = 32 << 20
	blobPath  = "/v2/reg.example/app/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000"
	smallPath = "/v2/reg.example/app/manifests/1"
)

func TestBinary_IsSmall(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= most {
		t.Errorf("larder-proxy has %d bytes, want less than %d", info.Size(), most)
	}
}

// The registry's name resolves to nothing, as before its first pod.
func TestStart_ReadyWithoutARegistry(t *testing.T) {
	t.Parallel()
	p := start(t, "127.0.0.1:0", "127.0.0.1:0", "--registry", "registry.invalid:7439", "--mirror-mode")
	status, _, err := get(t.Context(), "http://"+p.health+"/readyz")
	if err != nil || status != http.StatusOK {
		t.Errorf("readyz: %d, %v", status, err)
	}
	status, _, err = get(t.Context(), "http://"+p.address+"/v2/app/manifests/1?ns=reg.example")
	if err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("a manifest: %d, %v", status, err)
	}
	p.stop(t)
	p.awaitEnd(t)
}

// registry answers as a replica would, with one large blob and one small manifest.
type registry struct {
	*httptest.Server
	blob []byte
	gate chan struct{} // the blob's second half waits for it
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{blob: make([]byte, blobSize), gate: make(chan struct{})}
	rand.Read(r.blob)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if req.URL.Path != blobPath {
		_, _ = w.Write([]byte("{}"))
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(blobSize))
	_, _ = w.Write(r.blob[:blobSize/2])
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.gate:
		_, _ = w.Write(r.blob[blobSize/2:])
	case <-req.Context().Done():
	}
}

// A pod of the next version listens beside the one that ends; nothing that connects meanwhile, nor what is being pulled, is lost.
func TestRollingUpdate_DropsNoPull(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	from := []string{"--registry", r.Listener.Addr().String(), "--mirror-mode", "--log-level", "error"}
	now := start(t, "127.0.0.1:0", "127.0.0.1:0", from...)
	url := "http://" + now.address // of each that comes
	large := make(chan error, 1)
	var got []byte
	go func() {
		_, body, err := get(t.Context(), url+blobPath)
		got = body
		large <- err
	}()
	load, done := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var pulls atomic.Int64
	for range 8 {
		clients.Go(func() {
			for load.Err() == nil {
				status, _, err := get(t.Context(), url+smallPath)
				if err != nil || status != http.StatusOK {
					t.Errorf("a pull: %d, %v", status, err)
					return
				}
				pulls.Add(1)
			}
		})
	}
	first := now
	for range 3 { // updates
		await(t, &pulls, pulls.Load()+100)
		next := start(t, now.address, now.health, from...)
		now.stop(t)
		awaitAlone(t, now.address) // the kubelet keeps a third pod from coming earlier
		now = next
	}
	await(t, &pulls, pulls.Load()+100)
	done()
	clients.Wait()
	close(r.gate)
	if err := <-large; err != nil || !bytes.Equal(got, r.blob) {
		t.Errorf("the pull that began before the update: %d bytes, %v", len(got), err)
	}
	first.awaitEnd(t)
}

// awaitAlone waits until a single process listens on an address.
func awaitAlone(t *testing.T, address string) {
	t.Helper()
	_, port, _ := strings.Cut(address, ":")
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	listening := fmt.Sprintf(":%04X 00000000:0000 0A", n)
	deadline := time.After(patience)
	for tick := time.Tick(5 * time.Millisecond); ; {
		text, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			t.Skip("this system does not say who listens")
		}
		if strings.Count(string(text), listening) == 1 {
			return
		}
		select {
		case <-tick:
		case <-deadline:
			t.Fatal("the old process still listens")
		}
	}
}

func await(t *testing.T, count *atomic.Int64, want int64) {
	t.Helper()
	deadline := time.After(patience)
	for tick := time.Tick(5 * time.Millisecond); count.Load() < want; {
		select {
		case <-tick:
		case <-deadline:
			t.Fatalf("%d pulls, want %d", count.Load(), want)
		}
	}
}

// A blob goes from socket to socket in the kernel: the process itself neither reads nor writes it.
func TestBlob_GoesPastTheProcess(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	close(r.gate)
	p := start(t, "127.0.0.1:0", "127.0.0.1:0", "--registry", r.Listener.Addr().String(), "--mirror-mode")
	status, body, err := get(t.Context(), "http://"+p.address+blobPath)
	if err != nil || status != http.StatusOK || !bytes.Equal(body, r.blob) {
		t.Fatalf("got %d with %d bytes, %v", status, len(body), err)
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/io")
	if err != nil {
		t.Skip("this system does not say what a process has read and written")
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseInt(value, 10, 64)
		if (name == "rchar" || name == "wchar") && (err != nil || n > blobSize/8) {
			t.Errorf("%s is %d after a blob of %d bytes, %v", name, n, blobSize, err)
		}
	}
}
