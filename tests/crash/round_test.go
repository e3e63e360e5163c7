package crash

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/larder-dev/larder/tests/process"
)

const clients = 20

// round is one life of a process: clients pull, a tag moves, an image is mirrored, until it is cut short.
type round struct {
	world  *world
	larder *process.Larder
	number int
	seed   uint64

	begun    chan struct{} // closed when the first client is answered
	cut      atomic.Bool   // set just before the process is killed: from here on, it may not answer
	tolerant bool          // set where the disk fails before the process is killed: only wrong answers count
	complete atomic.Int64
}

// run pulls until stop returns, which kills the process. It returns when nobody works in the data folder any more.
func (r *round) run(t *testing.T, stop func()) {
	t.Helper()
	img := r.world.pushRound(t, r.number)
	moves := []v1.Image{r.world.variant(t), r.world.variant(t), r.world.variant(t)}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	r.begun = make(chan struct{})
	var begin sync.Once
	var working sync.WaitGroup
	for i := range uint64(clients) {
		c := &client{
			world: r.world, addr: r.larder.Addr, luck: rand.New(rand.NewPCG(r.seed, uint64(r.number)<<8|i)),
			http: &http.Client{Transport: transport}, complete: &r.complete,
		}
		working.Go(func() {
			r.pull(ctx, t, c, func() { begin.Do(func() { close(r.begun) }) })
		})
	}
	working.Go(func() { r.move(ctx, t, moves) })
	working.Go(func() {
		if _, err := r.larder.Run(t, "pull", host+"/"+img.Name()); err == nil {
			r.world.finish(img)
		}
	})
	<-r.begun
	stop()
	end()
	working.Wait()
}

// pull pulls one image after the other until the process is gone.
func (r *round) pull(ctx context.Context, t *testing.T, c *client, begun func()) {
	defer begun()
	for ctx.Err() == nil {
		err := c.pull(ctx, r.world.tag(c.luck))
		switch {
		case err == nil:
			begun()
		case errors.Is(err, errWrong), !r.cut.Load() && !r.tolerant:
			t.Errorf("round %d: %v", r.number, err)
			return
		case r.cut.Load():
			return
		}
	}
}

// move moves a tag to one image after the other.
func (r *round) move(ctx context.Context, t *testing.T, images []v1.Image) {
	for _, img := range images {
		if _, err := r.world.add(ctx, "app:latest", img); err != nil && ctx.Err() == nil {
			t.Errorf("moving a tag: %v", err)
		}
	}
}

// requireNothingTemporary checks a folder of a process that has just started.
func requireNothingTemporary(t *testing.T, root string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(root, "larder", "spool"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("the spool holds %s after the start", entry.Name())
	}
}

// lasting are the files that a store is made of.
var lasting = regexp.MustCompile(`^(larder\.(lock|sock)` +
	`|docker/registry/v2/blobs/sha256/[0-9a-f]{2}/[0-9a-f]{64}/data` +
	`|docker/registry/v2/repositories/.+/_layers/sha256/[0-9a-f]{64}/link` +
	`|docker/registry/v2/repositories/.+/_manifests/(revisions/sha256/[0-9a-f]{64}|tags/[^/]+/(current|index/sha256/[0-9a-f]{64}))/link` +
	`|docker/registry/v2/repositories/.+/_larder/(blobs|manifests)/sha256/[0-9a-f]{64}` +
	`|docker/registry/v2/repositories/.+/_larder/tags/[^/]+/record)$`)

// requireOnlyLasting walks the whole store for files that nobody would ever remove.
func requireOnlyLasting(t *testing.T, root string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		name, err := filepath.Rel(root, path)
		if err == nil && !lasting.MatchString(filepath.ToSlash(name)) {
			t.Errorf("%s is left in the store", name)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("walked %d files: %v", files, err)
	}
}
