package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

const (
	bigSize    = 4 << 20
	hugeSize   = 64 << 20 // more than the kernel takes from the server ahead of the client
	slowPace   = 1 << 10  // bytes a second
	slowWindow = 4 << 10  // SO_RCVBUF: a window that closes after some KiB and opens again with each of them

	dropAfter = time.Minute // P3
)

// blob is a stored or cold blob that readers read.
type blob struct {
	path    string
	digest  digest.Digest
	content []byte
}

// pushBlob pushes an image with one layer of that size and returns the layer.
func pushBlob(t *testing.T, o *origin.Origin, repository string, size int64) blob {
	t.Helper()
	content := origin.RandomImage(1, size)
	layers, err := content.Layers()
	if err != nil {
		t.Fatal(err)
	}
	r, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	bytes, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	img := o.Push(t, repository+":1", content)
	dgst := img.Blobs[1].Digest
	return blob{path: repository + "/blobs/" + dgst.String(), digest: dgst, content: bytes}
}

// TestLoad_P3_SlowReadersBesideFastOnes has clients that take 1 KiB/s read a blob that arrives and one that is stored. The fast clients beside
// them get all of it meanwhile, and no slow one is dropped: in the long part, over more than the minute after which a client that takes
// nothing would be.
func TestLoad_P3_SlowReadersBesideFastOnes(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	l := process.New(t, o)
	cold, warm := pushBlob(t, o, "cold", bigSize), pushBlob(t, o, "warm", bigSize)
	if out, err := l.Run(t, "pull", host+"/warm:1"); err != nil {
		t.Fatalf("larder pull: %v\n%s", err, out)
	}
	o.Fail(origin.Blobs(), origin.Drip(2<<20))
	ctx, end := context.WithCancel(t.Context())
	defer end()
	seconds := scale(3, 100)
	var slow, fast sync.WaitGroup
	reading := make(chan error, 2*scale(20, 200))
	for range scale(20, 200) {
		for _, b := range []blob{cold, warm} {
			slow.Go(func() {
				if err := b.readSlowly(ctx, l.Addr, seconds, reading); err != nil {
					t.Errorf("a slow reader: %v", err)
				}
			})
		}
	}
	for range cap(reading) {
		if err := <-reading; err != nil {
			t.Fatalf("a slow reader's first bytes: %v", err)
		}
	}
	for range scale(20, 100) {
		for _, b := range []blob{cold, warm} {
			fast.Go(func() {
				if err := b.readAll(ctx, l.Addr); err != nil {
					t.Errorf("a fast reader: %v", err)
				}
			})
		}
	}
	fast.Wait()
	slow.Wait()
	if sent := o.BytesSent(cold.digest); sent != bigSize {
		t.Errorf("the origin sent %d bytes of the cold blob, want %d: one transfer", sent, bigSize)
	}
}

func (b blob) readAll(ctx context.Context, addr string) error {
	c, err := dial(ctx, addr, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.get(b.path, b.digest)
}

// readSlowly reads 1 KiB a second and checks each. It tells reading what became of the first.
func (b blob) readSlowly(ctx context.Context, addr string, seconds int, reading chan<- error) error {
	c, resp, err := b.openSlowly(ctx, addr)
	if err != nil {
		reading <- err
		return err
	}
	defer c.Close()
	pace := time.NewTicker(time.Second)
	defer pace.Stop()
	piece := make([]byte, slowPace)
	for second := range seconds {
		_, err := io.ReadFull(resp.Body, piece)
		if second == 0 {
			reading <- err
		}
		if err != nil {
			return err
		}
		if want := b.content[second*slowPace:]; !bytes.Equal(piece, want[:slowPace]) {
			return errors.New("a wrong byte")
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (b blob) openSlowly(ctx context.Context, addr string) (*conn, *http.Response, error) {
	c, err := dial(ctx, addr, slowWindow)
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.ask(http.MethodGet, b.path)
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return c, resp, nil
}

// TestLoad_P3_AClientThatTakesNothingIsDropped waits a minute: it is of the long part.
func TestLoad_P3_AClientThatTakesNothingIsDropped(t *testing.T) {
	t.Parallel()
	if !soaking() {
		t.Skip("this takes over a minute: LARDER_SOAK=1 runs it")
	}
	o := origin.New(t, origin.OnDisk())
	l := process.New(t, o)
	for _, state := range []string{"cold", "warm"} {
		b := pushBlob(t, o, state, hugeSize)
		if state == "warm" {
			if err := b.readAll(t.Context(), l.Addr); err != nil {
				t.Fatal(err)
			}
		}
		b.requireDrop(t, l, state)
	}
}

// requireDrop finds the end of a request in the access log, which says what was broken off.
func (b blob) requireDrop(t *testing.T, l *process.Larder, state string) {
	t.Helper()
	dropped := func() bool {
		for line := range strings.Lines(l.Said()) {
			if strings.Contains(line, b.digest.String()) && strings.Contains(line, `"aborted": true`) {
				return true
			}
		}
		return false
	}
	c, resp, err := b.openSlowly(t.Context(), l.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begun := time.Now()
	ctx, giveUp := context.WithTimeout(t.Context(), 3*dropAfter)
	defer giveUp()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !dropped() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("a client that takes nothing of a %s blob is still there after %s", state, 3*dropAfter)
		}
	}
	took := time.Since(begun)
	t.Logf("a client that takes nothing of a %s blob is dropped after %s", state, took.Round(100*time.Millisecond))
	if took < dropAfter-5*time.Second {
		t.Errorf("a client was dropped after %s, want a minute", took)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("the client read %d bytes to the end: it was not dropped", n)
	}
}
