package cache

import (
	"context"
	"io"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws" // the second driver under which the rules are tested
	"github.com/go-logr/logr/testr"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/tests/leak"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/s3"
)

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // distribution's registry logs each request, and keeps a goroutine for events that nothing stops
	leak.Main(s3.Around(m), goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run"))
}

const (
	host     = "reg.example" // what the origin of a test is called
	patience = time.Minute   // how long a test waits for what must come
)

// fixture is a cache over a real store and a real origin. Its clock stands still until a test moves it.
type fixture struct {
	*Cache
	origin    *origin.Origin
	policies  *policies
	clock     *clock
	data      string // the folder of what is stored
	storage   store.Options
	options   Options
	elsewhere func(*upstream.Options) // nil, or where else images come from
	stop      func()
}

func newFixture(t testing.TB, opts ...origin.Option) *fixture {
	t.Helper()
	f := &fixture{origin: origin.New(t, opts...), policies: &policies{}, clock: newClock(), data: t.TempDir()}
	f.options = Options{
		Policies: f.policies, Now: f.clock.now, CheckTimeout: 20 * time.Second, // longer than any loaded machine needs
		Log: testr.NewWithInterface(t, testr.Options{}),
	}
	f.storage = store.Options{Data: f.data, Log: f.options.Log, Driver: os.Getenv(driverEnv)}
	if f.storage.Driver == "s3" {
		server := s3.Shared(t)
		bucket := server.Bucket(t)
		f.storage.Data, f.data, f.storage.Parameters = t.TempDir(), server.Folder(bucket), s3.Parameters(server.Endpoint, bucket)
		f.storage.Exclusive = true
	}
	f.start(t)
	t.Cleanup(func() { f.stop() })
	return f
}

// share puts the fixture on a bucket into which others may write, behind a meter.
func (f *fixture) share(t *testing.T) *s3.Meter {
	t.Helper()
	server := s3.Shared(t)
	bucket, meter := server.Bucket(t), server.NewMeter(t)
	f.storage = store.Options{
		Data: t.TempDir(), Driver: "s3", Parameters: s3.Parameters(meter.Endpoint, bucket), Log: f.options.Log,
	}
	f.data = server.Folder(bucket)
	f.restart(t)
	return meter
}

// driverEnv names the storage driver under which the rules are tested: unset, that of the file system; or s3.
const driverEnv = "LARDER_TEST_DRIVER"

// onDisk skips a test of a full disk where the store is on none.
func onDisk(t *testing.T) {
	t.Helper()
	if os.Getenv(driverEnv) != "" {
		t.Skip("it is about a disk")
	}
}

// start opens the store and a cache over it.
func (f *fixture) start(t testing.TB) {
	t.Helper()
	f.options.Metrics = metrics.New(prometheus.NewRegistry())
	s, err := store.Open(t.Context(), f.storage)
	if err != nil {
		t.Fatal(err)
	}
	o := upstream.Options{
		Registries: []upstream.Registry{{Host: host, Endpoints: []string{f.origin.URL()}}},
		Metrics:    f.options.Metrics, Log: f.options.Log,
	}
	if f.elsewhere != nil {
		f.elsewhere(&o)
	}
	client, err := upstream.New(o)
	if err != nil {
		t.Fatal(err)
	}
	f.options.Store, f.options.Origin = s, client
	f.Cache = New(f.options)
	f.stop = sync.OnceFunc(func() {
		f.Cache.Close()
		client.Close()
	})
}

// restartImpatient is restart with a check timeout that a test can wait for.
func (f *fixture) restartImpatient(t *testing.T) {
	t.Helper()
	f.options.CheckTimeout = 300 * time.Millisecond
	f.restart(t)
}

// restart is a new process on the same data.
func (f *fixture) restart(t *testing.T) {
	t.Helper()
	f.stop()
	f.start(t)
}

func repository(path string) imageref.Repository {
	return imageref.Repository{Host: host, Path: path}
}

func (f *fixture) resolve(t *testing.T, path, reference string) (ocispec.Descriptor, Outcome) {
	t.Helper()
	desc, outcome, err := f.ResolveManifest(t.Context(), repository(path), reference)
	if err != nil {
		t.Fatalf("resolving %s:%s: %v", path, reference, err)
	}
	return desc, outcome
}

// expect resolves a tag and fails the test where it is not the digest, or came about in another way.
func (f *fixture) expect(t *testing.T, path, reference string, want digest.Digest, kind Kind) Outcome {
	t.Helper()
	desc, outcome := f.resolve(t, path, reference)
	if desc.Digest != want {
		t.Errorf("%s:%s: got digest %s, want %s", path, reference, desc.Digest, want)
	}
	if outcome.Kind != kind {
		t.Errorf("%s:%s: got outcome %+v, want kind %d", path, reference, outcome, kind)
	}
	return outcome
}

// read reads a whole blob through the cache.
func (f *fixture) read(t *testing.T, path string, dgst digest.Digest) ([]byte, Outcome, error) {
	t.Helper()
	return f.readRange(t, path, dgst, fetch.Range{})
}

func (f *fixture) readRange(t *testing.T, path string, dgst digest.Digest, rng fetch.Range) ([]byte, Outcome, error) {
	t.Helper()
	b, outcome, err := f.Blob(t.Context(), repository(path), dgst, rng)
	if err != nil {
		return nil, outcome, err
	}
	defer b.Close()
	w := httptest.NewRecorder()
	_, err = b.WriteTo(w)
	return w.Body.Bytes(), outcome, err
}

// pull reads a manifest by tag or digest, and every blob below it, as a runtime does.
func (f *fixture) pull(t *testing.T, path, reference string) digest.Digest {
	t.Helper()
	desc, _ := f.resolve(t, path, reference)
	f.pullDigest(t, path, desc)
	return desc.Digest
}

func (f *fixture) pullDigest(t *testing.T, path string, desc ocispec.Descriptor) {
	t.Helper()
	body, err := f.Manifest(t.Context(), repository(path), desc)
	if err != nil {
		t.Fatalf("reading manifest %s: %v", desc.Digest, err)
	}
	if got := digest.FromBytes(body); got != desc.Digest {
		t.Fatalf("manifest %s has digest %s", desc.Digest, got)
	}
	m, err := manifest.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range m.Manifests {
		child, _ := f.resolve(t, path, string(d.Digest))
		f.pullDigest(t, path, child)
	}
	for _, d := range m.Blobs() {
		body, _, err := f.read(t, path, d.Digest)
		if err != nil {
			t.Fatalf("reading blob %s: %v", d.Digest, err)
		}
		if got := digest.FromBytes(body); got != d.Digest {
			t.Fatalf("blob %s has digest %s", d.Digest, got)
		}
	}
	f.settle(t, m.Blobs())
}

// settle waits until blobs that were read are committed.
func (f *fixture) settle(t *testing.T, blobs []ocispec.Descriptor) {
	t.Helper()
	for _, d := range blobs {
		eventually(t, "blob "+d.Digest.String()+" committed", func() bool {
			return testutil.ToFloat64(f.options.Metrics.Fetches) == 0 && f.holdsBlob(t.Context(), d.Digest)
		})
	}
}

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// policies gives every tag the same policy.
type policies struct {
	mu         sync.Mutex
	policy     Policy
	named      map[string]bool
	generation atomic.Uint64
}

func (p *policies) set(policy Policy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.policy = policy
	p.generation.Add(1)
}

// name has objects name those tags, and no others.
func (p *policies) name(tags ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.named = map[string]bool{}
	for _, tag := range tags {
		p.named[tag] = true
	}
}

func (p *policies) Policy(imageref.Repository, string) Policy {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.policy
}

func (p *policies) Listing(imageref.Repository) time.Duration { return 5 * time.Minute }

func (p *policies) Named(_ imageref.Repository, tag string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.named[tag]
}

func (p *policies) Periodic() []imageref.Repository {
	return []imageref.Repository{repository("app")}
}

func (p *policies) Generation() uint64 { return p.generation.Load() }

type clock struct {
	mu   sync.Mutex
	time time.Time
}

func newClock() *clock { return &clock{time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}
