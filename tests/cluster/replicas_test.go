package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// soak says whether the long form of a test is asked for.
func soak() bool { return os.Getenv("LARDER_SOAK") != "" }

// TestReplicas_B1_T3_AsOneRegistry has 500 clients pull through three proxies at once, while the replicas bring the same images in themselves.
func TestReplicas_B1_T3_AsOneRegistry(t *testing.T) {
	t.Parallel()
	const pullers, interval = 500, 5 * time.Second
	layer := int64(128 << 10)
	if soak() {
		layer = 4 << 20
	}
	o := origin.New(t)
	var images []origin.Image
	for i := range 6 {
		images = append(images, o.Push(t, fmt.Sprintf("team/app-%d:v1", i), origin.RandomImage(2, layer)))
	}
	g := newGroup(t, o, "updateInterval: "+interval.String())
	for range 3 {
		g.add(t)
	}
	g.tell(t)
	g.proxy(t, 3)
	g.known(t)

	wave := func() {
		t.Helper()
		var all sync.WaitGroup
		for i := range pullers {
			all.Go(func() {
				if err := pull(t.Context(), g.proxies[i%3], images[i%len(images)]); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	o.Forget()
	began := time.Now()
	for i := range images {
		g.want(t, fmt.Sprintf("app-%d", i), fmt.Sprintf("team/app-%d:v1", i))
	}
	wave()
	for i := range images {
		g.awaitReady(t, fmt.Sprintf("%s/team/app-%d:v1", process.Host, i))
	}
	for range 2 {
		due := time.Now()
		process.Eventually(t, "the interval to be over", func() bool { return time.Since(due) > interval })
		wave()
	}
	most := 1 + int(time.Since(began)/interval)
	for _, img := range images {
		for _, blob := range img.Blobs {
			if n := o.BytesSent(blob.Digest); n != blob.Size {
				t.Errorf("%d bytes of a blob of %s left the origin, want its %d once", n, img.Name(), blob.Size)
			}
		}
		if n := o.Count(origin.Manifests().In(img.Repository).Of("v1")); n < 3 || n > most {
			t.Errorf("%d checks of %s, want one for each interval of %s: 3 to %d", n, img.Name(), interval, most)
		}
	}
}

// TestReplicas_ComeAndGoUnderLoad kills replicas while clients pull, and adds others: the leader first.
func TestReplicas_ComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	rounds, pullers := 2, 12
	if soak() {
		rounds, pullers = 20, 48
	}
	o := origin.New(t)
	g := newGroup(t, o)
	for range 3 {
		g.add(t)
	}
	g.tell(t)
	g.proxy(t, 3)
	g.known(t)
	o.Fail(origin.Blobs(), origin.Drip(1<<20)) // so that transfers are cut

	var images []origin.Image
	finished := map[string]bool{} // before the last change of members
	for round := range rounds {
		var due []origin.Image
		for i := range 8 {
			name := fmt.Sprintf("team/app-%d-%d", round, i)
			due = append(due, o.Push(t, name+":v1", origin.RandomImage(2, 512<<10)))
			g.want(t, fmt.Sprintf("app-%d-%d", round, i), name+":v1")
		}
		images = append(images, due...)
		var load sync.WaitGroup
		var pulls atomic.Int64
		half := make(chan struct{})
		for c := range pullers {
			load.Go(func() {
				for _, i := range rand.Perm(len(images)) { //nolint:gosec // any order
					if err := pull(t.Context(), g.proxies[c%3], images[i]); err != nil {
						t.Error(err)
					}
					if pulls.Add(1) == int64(len(due)/2) {
						close(half)
					}
				}
			})
		}
		<-half
		process.Eventually(t, "one replica to lead", func() bool { return len(g.leaders(t)) == 1 })
		g.kill(t, g.leaders(t)[0])
		g.add(t)
		g.tell(t)
		load.Wait()
		for i := range due {
			g.awaitReady(t, fmt.Sprintf("%s/team/app-%d-%d:v1", process.Host, round, i))
		}
		for _, img := range images {
			for _, blob := range img.Blobs {
				n := o.BytesSent(blob.Digest)
				if name := img.Name(); finished[name] && n > 0 || n > 3*blob.Size {
					t.Errorf("%s: %d bytes of a blob of %d left the origin; it was stored before: %v", name, n, blob.Size, finished[name])
				}
			}
		}
		for _, img := range images {
			finished[img.Name()] = true
		}
		o.Forget()
	}

	o.Refuse()
	restore := g.Outage(t)
	for _, img := range images {
		if err := pull(t.Context(), g.proxies[0], img); err != nil {
			t.Errorf("without origin and API server: %v", err)
		}
	}
	restore()
	process.Eventually(t, "one replica to lead again", func() bool { return len(g.leaders(t)) == 1 })
	var list v1alpha1.CachedImageList
	if err := g.List(t.Context(), &list); err != nil || len(list.Items) != len(images) {
		t.Errorf("%d objects of %d images: %v", len(list.Items), len(images), err)
	}
}
