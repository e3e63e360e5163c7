package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

const (
	coldLayers = 8
	coldSize   = 256 << 10
	bigLayer   = 8 << 20 // more than the buffers of a connection hold: who hangs up does so while it is being sent

	// idleMemory is what the process may hold whatever was asked of it, and clientMemory what it may hold for each client beside it (P2):
	// a goroutine's stack and net/http's two buffers, with room for what the collector has not freed yet.
	idleMemory   = 96 << 20
	clientMemory = 96 << 10
	memorySlack  = 24 << 20 // by how much, beside a quarter, the second half of the waves may exceed the first: the collector's whim
)

// TestLoad_P2_ChurnLeavesNothingBehind lets wave after wave of clients connect, ask for what is stored and what is not, and go; some hang up
// in the middle.
func TestLoad_P2_ChurnLeavesNothingBehind(t *testing.T) {
	o := origin.New(t)
	l := process.New(t, o)
	idle := usageOf(t, l)
	warm := o.Push(t, "warm:1", origin.RandomImage(4, 64<<10))
	big := o.Push(t, "warm:big", origin.RandomImage(1, bigLayer))
	if out, err := l.Run(t, "pull", host+"/warm:1", host+"/warm:big"); err != nil {
		t.Fatalf("larder pull: %v\n%s", err, out)
	}
	clients, waves := scale(200, 2000), scale(6, 24)
	bound := usage{idle.goroutines + slack, idle.descriptors + slack, int64(idleMemory + clients*clientMemory)}
	var peak int64
	for number := range waves {
		w := &wave{larder: l, warm: warm, warmBig: big, clients: clients, number: number}
		w.cold = o.Push(t, fmt.Sprintf("cold:%d", number), origin.RandomImage(coldLayers, coldSize))
		w.coldBig = o.Push(t, fmt.Sprintf("cold:big%d", number), origin.RandomImage(1, bigLayer))
		w.run(t)
		if t.Failed() {
			t.FailNow()
		}
		now := atRest(t, o, l, bound)
		t.Logf("%d waves of %d clients: %s; idle were %s", number+1, clients, now, idle)
		if peak = max(peak, now.memory); number == waves/2 { // the collector has found its measure
			bound.memory = min(bound.memory, peak+peak/4+memorySlack)
		}
	}
}

// slack is for what comes and goes by itself: a probe, the connection that asks for metrics. A leak of one in a hundred clients is
// far more over all waves.
const slack = 8

// wave is a number of clients that are all connected at once.
type wave struct {
	larder  *process.Larder
	warm    origin.Image
	warmBig origin.Image // with one big layer
	cold    origin.Image
	coldBig origin.Image
	clients int
	number  int
}

func (w *wave) run(t *testing.T) {
	t.Helper()
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	var connected, done sync.WaitGroup
	connected.Add(w.clients)
	begin := make(chan struct{})
	for i := range uint64(w.clients) {
		luck := rand.New(rand.NewPCG(uint64(w.number), i))
		done.Go(func() {
			c, err := dial(ctx, w.larder.Addr, 0)
			if err == nil {
				defer c.Close()
				err = w.tag(c)
			}
			connected.Done()
			<-begin
			if err == nil {
				err = w.work(ctx, c, luck)
			}
			if err != nil {
				t.Errorf("wave %d: %v", w.number, err)
			}
		})
	}
	connected.Wait()
	if now := usageOf(t, w.larder); !t.Failed() && now.descriptors < w.clients {
		t.Errorf("wave %d: %s with %d clients connected: they are not there at once", w.number, now, w.clients)
	}
	close(begin)
	done.Wait()
}

// tag asks for a tag, as a client does first.
func (w *wave) tag(c *conn) error {
	resp, err := c.ask(http.MethodHead, w.warm.Repository+"/manifests/"+w.warm.Tag)
	if err != nil {
		return err
	}
	if got := resp.Header.Get("Docker-Content-Digest"); got != w.warm.Digest.String() {
		return fmt.Errorf("%s is %s, want %s", w.warm.Name(), got, w.warm.Digest)
	}
	return nil
}

// work asks for this and that on one connection. One client in six then hangs up in the middle of a blob, cold or warm.
func (w *wave) work(ctx context.Context, c *conn, luck *rand.Rand) error {
	cold := w.cold.Blobs[luck.IntN(len(w.cold.Blobs))]
	warm := w.warm.Blobs[luck.IntN(len(w.warm.Blobs))]
	tasks := []func() error{
		func() error { return w.tag(c) },
		func() error {
			return c.get(w.warm.Repository+"/manifests/"+w.warm.Digest.String(), w.warm.Digest)
		},
		func() error { return c.get(w.warm.Repository+"/blobs/"+warm.Digest.String(), warm.Digest) },
		func() error { return c.get(w.cold.Repository+"/manifests/"+w.cold.Tag, w.cold.Digest) },
		func() error { return c.get(w.cold.Repository+"/blobs/"+cold.Digest.String(), cold.Digest) },
	}
	var errs []error
	for _, i := range luck.Perm(len(tasks)) {
		errs = append(errs, tasks[i]())
	}
	switch luck.IntN(12) {
	case 0:
		errs = append(errs, w.hangUp(ctx, w.warmBig, luck))
	case 1:
		errs = append(errs, w.hangUp(ctx, w.coldBig, luck))
	}
	return errors.Join(errs...)
}

// hangUp reads the beginning of a big layer and closes the connection with the rest unread: a reset.
func (w *wave) hangUp(ctx context.Context, img origin.Image, luck *rand.Rand) error {
	c, err := dial(ctx, w.larder.Addr, slowWindow)
	if err != nil {
		return err
	}
	defer c.Close()
	resp, err := c.ask(http.MethodGet, img.Repository+"/blobs/"+img.Blobs[1].Digest.String())
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, resp.Body, 1+luck.Int64N(64<<10))
	return err
}
