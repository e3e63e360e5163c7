package objects

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
	"github.com/opencontainers/go-digest"
)

const (
	images  = 4
	clients = 6
	rounds  = 6 // of each client
)

// TestReplicas_OneDiesAndOneJoinsUnderLoad has three replicas on one bucket bring in the same images at once. Every body is hashed. In the
// end a replica that knows nothing serves it all, the origin gone.
func TestReplicas_OneDiesAndOneJoinsUnderLoad(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	var pushed []origin.Image
	for i := range images {
		pushed = append(pushed, o.Push(t, fmt.Sprintf("app%d:1", i), origin.RandomImage(2, 200<<10)))
	}
	bucket := server.Bucket(t)
	start := func() *process.Larder { return replica(t, o, server.Endpoint, bucket, "updateInterval: 0s") }
	g := &group{replicas: []*process.Larder{start(), start(), start()}}

	var load sync.WaitGroup
	var pulls atomic.Int32
	half := make(chan struct{})
	for client := range clients {
		load.Go(func() {
			for round := range rounds {
				i := (client + round) % images
				if err := g.pull(t.Context(), client+round, i, pushed[i]); err != nil {
					t.Error(err)
				}
				if pulls.Add(1) == clients*rounds/2 {
					close(half)
				}
			}
		})
	}
	<-half
	g.dead.Store(g.replicas[0])
	g.replicas[0].Kill()
	g.add(start())
	load.Wait()
	for _, l := range g.replicas[1:] {
		l.Settle(t)
	}
	o.Refuse()
	last := &group{replicas: []*process.Larder{start()}}
	for i, img := range pushed {
		if err := last.pull(t.Context(), 0, i, img); err != nil {
			t.Errorf("from a new replica, without the origin: %v", err)
		}
	}
}

// group are the replicas that clients choose from.
type group struct {
	mu       sync.Mutex
	replicas []*process.Larder
	dead     atomic.Pointer[process.Larder]
}

func (g *group) add(l *process.Larder) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replicas = append(g.replicas, l)
}

func (g *group) choose(n int) *process.Larder {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.replicas[n%len(g.replicas)]
}

// pull gets an image whole, from another replica where the one that it asks has died.
func (g *group) pull(ctx context.Context, n, i int, img origin.Image) error {
	for {
		l := g.choose(n)
		err := pullFrom(ctx, l, i, img)
		if err == nil || g.dead.Load() != l {
			return err
		}
		n++
	}
}

func pullFrom(ctx context.Context, l *process.Larder, i int, img origin.Image) error {
	base := fmt.Sprintf("http://%s/v2/%s/app%d/", l.Addr, process.Host, i)
	if err := same(ctx, base+"manifests/1", img.Digest); err != nil {
		return err
	}
	for _, blob := range img.Blobs {
		if err := same(ctx, base+"blobs/"+string(blob.Digest), blob.Digest); err != nil {
			return err
		}
	}
	return nil
}

// same gets what has a digest.
func same(ctx context.Context, url string, want digest.Digest) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || digest.FromBytes(body) != want) {
		err = fmt.Errorf("status %d and %d bytes, want those of %s", resp.StatusCode, len(body), want)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}

// TestReplicas_T3_OneCheckAnInterval holds that what one replica asked, another does not ask again.
func TestReplicas_T3_OneCheckAnInterval(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	bucket := server.Bucket(t)
	path := "/v2/" + process.Host + "/app/manifests/1"
	for range 3 {
		pull(t, replica(t, o, server.Endpoint, bucket, "updateInterval: 1h"), path, path)
	}
	if n := o.Count(origin.Manifests()); n != 1 {
		t.Errorf("the origin was asked for the manifest %d times, want once", n)
	}
}

// TestReplicas_APartitionedOneServesWhatItKnows holds that tags go on without the bucket, and that blobs come from their origin then.
func TestReplicas_APartitionedOneServesWhatItKnows(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "app:1", origin.RandomImage(1, 100<<10))
	bucket := server.Bucket(t)
	meter := server.NewMeter(t)
	l := replica(t, o, meter.Endpoint, bucket)
	tag, blob := "/v2/"+process.Host+"/app/manifests/1", "/v2/"+process.Host+"/app/blobs/"+string(img.Blobs[1].Digest)
	pull(t, l, tag, blob)
	l.Settle(t)
	meter.Cut()
	for _, path := range []string{tag, blob} {
		body := get(t, l, "GET", path)
		if dgst := digest.FromBytes(body); dgst != img.Digest && dgst != img.Blobs[1].Digest {
			t.Errorf("%s: got %d other bytes", path, len(body))
		}
	}
	other := replica(t, o, server.Endpoint, bucket)
	o.Refuse()
	pull(t, other, tag, blob) // nothing was damaged in the bucket
}
