package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/tests/leak"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestMain(m *testing.M) { leak.Main(m) }

const (
	mediaType = "application/vnd.oci.image.layer.v1.tar+gzip"
	patience  = time.Minute // how long a test waits for what must come
)

var app = imageref.Repository{Host: "origin.example", Path: "team/app"}

// rig is a manager between a real store, a real client and a scripted origin.
type rig struct {
	*Manager
	origin *fakeOrigin
	store  *store.Store
	data   string

	mu        sync.Mutex
	outcomes  []error
	committed []imageref.Repository
}

// fetches says whether the origin's blob is being fetched now.
func (r *rig) fetches() bool {
	r.Manager.mu.Lock()
	defer r.Manager.mu.Unlock()
	return r.running[r.origin.digest] != nil
}

func newRig(t testing.TB, o *fakeOrigin) *rig {
	t.Helper()
	return newRigAt(t, o, t.TempDir())
}

func newRigAt(t testing.TB, o *fakeOrigin, data string) *rig {
	t.Helper()
	r := &rig{origin: o, data: data}
	m := metrics.New(prometheus.NewRegistry())
	s, err := store.Open(t.Context(), store.Options{Data: data, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := upstream.New(upstream.Options{
		Registries: []upstream.Registry{
			{Host: app.Host, Endpoints: []string{o.URL}},
			{Host: "other.example", Endpoints: []string{o.URL}},
		},
		UserAgent: "larder-test", Metrics: m, Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.store = s
	r.Manager = New(Options{Store: s, Origin: c, Metrics: m, Log: logr.Discard(), OnOutcome: r.onOutcome, OnCommit: r.onCommit})
	r.Manager.pauses = []time.Duration{0, time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond}
	t.Cleanup(func() {
		r.Manager.Close()
		c.Close()
	})
	return r
}

func (r *rig) onOutcome(_ imageref.Repository, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, err)
}

func (r *rig) onCommit(repo imageref.Repository, _ digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.committed = append(r.committed, repo)
}

// desc describes the origin's blob as a manifest would.
func (r *rig) desc() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: r.origin.digest, Size: int64(len(r.origin.blob))}
}

// unsized is desc as someone has it who knows the digest alone.
func (r *rig) unsized() ocispec.Descriptor {
	return ocispec.Descriptor{Digest: r.origin.digest, Size: -1}
}

// open opens a reader that the test's end closes.
func (r *rig) open(t testing.TB, ctx context.Context, desc ocispec.Descriptor, rng Range) *Reader {
	t.Helper()
	rd, err := r.Open(ctx, app, desc, rng)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = rd.Close() })
	return rd
}

// settled waits until nothing is fetched any more, and all is told of what was: a transfer leaves the manager before that.
func (r *rig) settled(t testing.TB) {
	t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		r.Manager.wg.Wait()
	}()
	select {
	case <-over:
	case <-time.After(patience):
		t.Fatal("the fetch does not end")
	}
}

// until waits for what happens in the background.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// wantStored checks that the blob is stored, whole, and linked.
func (r *rig) wantStored(t testing.TB, repos ...imageref.Repository) {
	t.Helper()
	r.settled(t)
	b, err := r.store.OpenBlob(t.Context(), r.origin.digest, int64(len(r.origin.blob)))
	if err != nil {
		t.Fatalf("the blob is not stored: %v", err)
	}
	defer b.Close()
	stored, err := io.ReadAll(b)
	if err != nil || digest.FromBytes(stored) != r.origin.digest {
		t.Errorf("the stored blob has %d bytes, digest %s, %v", len(stored), digest.FromBytes(stored), err)
	}
	for _, repo := range repos {
		if _, err := r.store.LinkedBlob(t.Context(), repo, r.origin.digest); err != nil {
			t.Errorf("the blob is not linked in %s: %v", repo, err)
		}
	}
	r.wantSpoolEmpty(t)
}

// wantNothingStored checks that a fetch left nothing behind (B4).
func (r *rig) wantNothingStored(t testing.TB) {
	t.Helper()
	r.settled(t)
	if _, err := r.store.StatBlob(t.Context(), r.origin.digest); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("StatBlob returned %v, want store.ErrNotFound", err)
	}
	if _, err := r.store.LinkedBlob(t.Context(), app, r.origin.digest); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("LinkedBlob returned %v, want store.ErrNotFound", err)
	}
	r.wantSpoolEmpty(t)
}

// wantSpoolEmpty looks for files that a spool may have left: their names begin with the digest.
func (r *rig) wantSpoolEmpty(t testing.TB) {
	t.Helper()
	spoolName := r.origin.digest.Algorithm().String() + "-" + r.origin.digest.Encoded()
	err := filepath.WalkDir(r.data, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(filepath.Base(path), spoolName) {
			t.Errorf("the spool was left behind: %s", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// server serves the blob to HTTP clients as the cache does.
func (r *rig) server(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		rd, err := r.Open(req.Context(), app, r.desc(), Range{})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer rd.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Larder-How", strconv.Itoa(int(rd.How)))
		if rd.Length >= 0 {
			w.Header().Set("Content-Length", strconv.FormatInt(rd.Length, 10))
		}
		if _, err := rd.WriteTo(w); err != nil {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// client returns an HTTP client with connections of its own.
func client(t testing.TB) *http.Client {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// get downloads url and returns the digest of the body, and how the answer came about.
func get(ctx context.Context, c *http.Client, url string) (digest.Digest, How, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", 0, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("status %s", resp.Status)
	}
	d, err := digest.FromReader(resp.Body)
	how, _ := strconv.Atoi(resp.Header.Get("Larder-How"))
	return d, How(how), err
}

// sink is a client that tells how much it has taken.
type sink struct {
	mu   sync.Mutex
	got  []byte
	more chan struct{} // a token when got grew
}

func newSink() *sink { return &sink{more: make(chan struct{}, 1)} }

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.got = append(s.got, p...)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (s *sink) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

// await waits until n bytes are there.
func (s *sink) await(t testing.TB, n int) {
	t.Helper()
	for deadline := time.After(patience); len(s.bytes()) < n; {
		select {
		case <-s.more:
		case <-deadline:
			t.Fatalf("%d bytes arrived, want %d", len(s.bytes()), n)
		}
	}
}

// run lets a reader deliver into a sink, in the background.
func run(rd *Reader) (*sink, <-chan error) {
	s, done := newSink(), make(chan error, 1)
	go func() {
		_, err := rd.WriteTo(s)
		done <- err
	}()
	return s, done
}

// ended returns what WriteTo returned.
func ended(t testing.TB, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("the reader does not end")
		return nil
	}
}

// value reads a counter or gauge.
func value(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}
