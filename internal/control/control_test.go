package control_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/control"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/tests/leak"
	"github.com/opencontainers/go-digest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// mirrorFunc is an owner whose cache does as the test says.
type mirrorFunc func(ctx context.Context, ref imageref.Reference, platforms []string, progress func(cache.Progress)) (cache.Mirrored, error)

func (f mirrorFunc) Mirror(ctx context.Context, ref imageref.Reference, platforms []string, progress func(cache.Progress)) (cache.Mirrored, error) {
	return f(ctx, ref, platforms, progress)
}

// sweeps is an owner that sweeps and removes as the test says, and mirrors nothing.
type sweeps struct {
	mirrorFunc
	control.Granter
	sweep  func(grace time.Duration, dryRun bool) (store.SweepReport, error)
	remove func(ref imageref.Reference) error
}

func (s sweeps) Sweep(_ context.Context, grace time.Duration, dryRun bool) (store.SweepReport, error) {
	return s.sweep(grace, dryRun)
}

func (s sweeps) Import(context.Context, io.Reader, func(imageref.Reference, digest.Digest)) error {
	return errors.New("imports nothing")
}

func (s sweeps) Tag(context.Context, imageref.Reference) (cache.Tag, error) {
	return cache.Tag{}, store.ErrNotFound
}

func (s sweeps) Pin(context.Context, imageref.Reference, cache.Pin, func(cache.Progress)) error {
	return cache.ErrPinnedByObject
}

func (s sweeps) Unpin(context.Context, imageref.Reference, store.PinOwner) error {
	return cache.ErrNotPinned
}

func (s sweeps) Remove(_ context.Context, ref imageref.Reference) error { return s.remove(ref) }

// serve runs an owner on a socket in folder, and returns the socket's path and what ends the owner.
func serve(t *testing.T, folder string, mirrors control.Mirrorer) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(folder, "larder.sock")
	owner, ok := mirrors.(control.Owner)
	if !ok {
		owner = sweeps{mirrorFunc: mirrors.Mirror}
	}
	listener, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		if err := control.Serve(ctx, listener, owner, logr.Discard()); err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	stop = func() { cancel(); served.Wait() }
	t.Cleanup(stop)
	return path, stop
}

func dial(t *testing.T, path string) *control.Client {
	t.Helper()
	client, err := control.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func parse(t *testing.T, image string) imageref.Reference {
	t.Helper()
	ref, err := imageref.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestControl_P4_HandsAMirrorOver(t *testing.T) {
	t.Parallel()
	want := cache.Mirrored{Digest: digest.FromString("index"), Size: 12_300_000, Loaded: 4_000_000, Outcome: cache.Outcome{Kind: cache.Stale, Why: "timeout"}}
	type call struct {
		Image     string
		Platforms []string
	}
	calls := make(chan call, 1)
	seen := make(chan struct{})
	path, _ := serve(t, t.TempDir(), mirrorFunc(func(ctx context.Context, ref imageref.Reference, platforms []string, progress func(cache.Progress)) (cache.Mirrored, error) {
		calls <- call{ref.String(), platforms}
		progress(cache.Progress{Done: 5, Total: 10})
		select { // the client has seen the progress before the result is there
		case <-seen:
			return want, nil
		case <-ctx.Done():
			return cache.Mirrored{}, ctx.Err()
		}
	}))

	var heard []cache.Progress
	got, err := dial(t, path).Mirror(t.Context(), parse(t, "alpine:3.20"), []string{"linux/amd64"}, func(p cache.Progress) {
		if heard = append(heard, p); len(heard) == 1 {
			close(seen)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]cache.Progress{{Done: 5, Total: 10}}, heard); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(call{"docker.io/library/alpine:3.20", []string{"linux/amd64"}}, <-calls); diff != "" {
		t.Errorf("what the owner was asked for (-want +got):\n%s", diff)
	}
}

func TestControl_FailuresKeepTheirKind(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err   error
		check func(error) bool
	}{
		"An answer of the cache": {
			err: &cache.Error{Code: cache.CodeTooManyRequests, Status: http.StatusTooManyRequests, RetryAfter: time.Minute, Err: errors.New("docker.io says slow down")},
			check: func(err error) bool {
				var e *cache.Error
				return errors.As(err, &e) && e.Code == cache.CodeTooManyRequests && e.Status == http.StatusTooManyRequests && e.RetryAfter == time.Minute
			},
		},
		"An address that is refused": {
			err: &cache.Error{Code: cache.CodeDenied, Status: http.StatusForbidden, Err: &upstream.Error{Reason: upstream.Refused, Host: "a.b", Err: errors.New("no")}},
			check: func(err error) bool {
				var e *upstream.Error
				return errors.As(err, &e) && e.Reason == upstream.Refused
			},
		},
		"A remembered answer": {
			err: &cache.Error{Code: cache.CodeDenied, Status: http.StatusForbidden, Err: &cache.Remembered{
				Err: &upstream.Error{Reason: upstream.Denied, Host: "a.b", Err: errors.New("no")}, Until: time.Unix(7, 0),
			}},
			check: func(err error) bool {
				var e *cache.Remembered
				return errors.As(err, &e) && e.Until.Equal(time.Unix(7, 0))
			},
		},
		"A shared store":     {err: store.ErrShared, check: func(err error) bool { return errors.Is(err, store.ErrShared) }},
		"A pin of an object": {err: cache.ErrPinnedByObject, check: func(err error) bool { return errors.Is(err, cache.ErrPinnedByObject) }},
		"No pin":             {err: cache.ErrNotPinned, check: func(err error) bool { return errors.Is(err, cache.ErrNotPinned) }},
		"A full disk":        {err: store.ErrNoRoom, check: func(err error) bool { return errors.Is(err, store.ErrNoRoom) }},
		"Anything else":      {err: errors.New("the roof is on fire"), check: func(err error) bool { return err != nil }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, _ := serve(t, t.TempDir(), mirrorFunc(func(context.Context, imageref.Reference, []string, func(cache.Progress)) (cache.Mirrored, error) {
				return cache.Mirrored{}, tt.err
			}))
			_, err := dial(t, path).Mirror(t.Context(), parse(t, "alpine"), nil, nil)
			if !tt.check(err) || err.Error() != tt.err.Error() {
				t.Errorf("got %#v, want %#v", err, tt.err)
			}
		})
	}
}

// untilCancelled is a mirror that only its context ends.
func untilCancelled(started, ended chan<- struct{}) mirrorFunc {
	return func(ctx context.Context, _ imageref.Reference, _ []string, _ func(cache.Progress)) (cache.Mirrored, error) {
		close(started)
		<-ctx.Done()
		close(ended)
		return cache.Mirrored{}, ctx.Err()
	}
}

func TestControl_TheClientsEndIsTheWorksEnd(t *testing.T) {
	t.Parallel()
	started, ended := make(chan struct{}), make(chan struct{})
	path, _ := serve(t, t.TempDir(), untilCancelled(started, ended))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	client := dial(t, path)
	go func() {
		_, err := client.Mirror(ctx, parse(t, "alpine"), nil, nil)
		failed <- err
	}()
	<-started
	cancel()
	<-ended
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v, want context.Canceled", err)
	}
}

func TestControl_TheServersExitIsAClearError(t *testing.T) {
	t.Parallel()
	started, ended := make(chan struct{}), make(chan struct{})
	path, stop := serve(t, t.TempDir(), untilCancelled(started, ended))
	failed := make(chan error, 1)
	client := dial(t, path)
	go func() {
		_, err := client.Mirror(context.Background(), parse(t, "alpine"), nil, nil)
		failed <- err
	}()
	<-started
	stop() // does not wait for the work, which has no end of its own
	if err := <-failed; err == nil || !errors.Is(err, control.ErrGone) || !strings.Contains(err.Error(), "it is stopping") {
		t.Errorf("the client got %v, want ErrGone and that larder serve is stopping", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := control.Dial(t.Context(), path); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("dialling again: %v, want ErrNoServer", err)
	}
}

func TestControl_AServerThatEndedBeforeIsAClearError(t *testing.T) {
	t.Parallel()
	path, stop := serve(t, t.TempDir(), mirrorFunc(nil))
	client := dial(t, path)
	stop()
	_, err := client.Mirror(t.Context(), parse(t, "alpine"), nil, nil)
	if !errors.Is(err, control.ErrGone) || strings.Contains(err.Error(), "http://") {
		t.Errorf("the client got %v, want ErrGone without a URL", err)
	}
}

func TestControl_AKilledServerIsAClearError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "larder.sock")
	listener, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	client := make(chan error, 1)
	go func() {
		client <- func() error {
			c, err := control.Dial(context.Background(), path)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Mirror(context.Background(), parse(t, "alpine"), nil, nil)
			return err
		}()
	}()
	answerAndDie(t, listener)
	if err := <-client; !errors.Is(err, control.ErrGone) {
		t.Errorf("the client got %v, want ErrGone", err)
	}
}

// answerAndDie begins to answer one request and closes everything in the middle of a line, as a killed process does.
func answerAndDie(t *testing.T, listener net.Listener) {
	t.Helper()
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"progress":{"done":`))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
}

func TestListen_ReplacesTheSocketOfAKilledProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "larder.sock")
	config := net.ListenConfig{}
	stale, err := config.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(t.Context(), path); !errors.Is(err, control.ErrNoServer) {
		t.Fatalf("dialling a stale socket: %v, want ErrNoServer", err)
	}
	listener, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the socket's mode is %o, want 600", got)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestControl_LongFolders(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), strings.Repeat("a-long-name/", 20))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	want := cache.Mirrored{Digest: digest.FromString("index"), Size: 1}
	path, stop := serve(t, folder, mirrorFunc(func(context.Context, imageref.Reference, []string, func(cache.Progress)) (cache.Mirrored, error) {
		return want, nil
	}))
	got, err := dial(t, path).Mirror(t.Context(), parse(t, "alpine"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	stop()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestDial_NobodyThere(t *testing.T) {
	t.Parallel()
	if _, err := control.Dial(t.Context(), filepath.Join(t.TempDir(), "larder.sock")); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("got %v, want ErrNoServer", err)
	}
}

func TestControl_P4_HandsASweepOver(t *testing.T) {
	t.Parallel()
	want := store.SweepReport{Freed: store.Swept{Blobs: 3, Bytes: 12}, Next: time.Unix(1_700_000_000, 0).UTC()}
	path, _ := serve(t, t.TempDir(), sweeps{sweep: func(grace time.Duration, dryRun bool) (store.SweepReport, error) {
		if grace != time.Minute || !dryRun {
			return store.SweepReport{}, errors.New("asked for something else")
		}
		return want, nil
	}})
	got, err := dial(t, path).Sweep(t.Context(), time.Minute, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestControl_P4_HandsARemovalOver(t *testing.T) {
	t.Parallel()
	path, _ := serve(t, t.TempDir(), sweeps{remove: func(ref imageref.Reference) error {
		if ref.Tag == "3.20" {
			return nil
		}
		return store.ErrNotFound
	}})
	client := dial(t, path)
	if err := client.Remove(t.Context(), parse(t, "alpine:3.20")); err != nil {
		t.Error(err)
	}
	if err := client.Remove(t.Context(), parse(t, "alpine:3.21")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got error %v, want ErrNotFound", err)
	}
}
