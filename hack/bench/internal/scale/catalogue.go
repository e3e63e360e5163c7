package scale

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/larder-dev/larder/hack/bench/internal/content"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

const (
	hosts = 4 // that images come from; one origin answers for all of them
	tags  = 3 // of each repository
	teams = 40
)

// image is one that the origin has.
type image struct {
	content.Image
	name       string // "registry-0.example/team-3/app-42:v1"
	host       string
	repository string // at its host
}

// full names the repository with its host.
func (i image) full() string { return i.host + "/" + i.repository }

// catalogue is what the origin has.
type catalogue struct {
	origin *server.Registry
	images []image // that the pods of the burst use
	spare  []image // for single pods, each of a repository of its own
}

func newCatalogue(ctx context.Context, o Options) (*catalogue, error) {
	root := filepath.Join(o.Dir, "content")
	c := &catalogue{images: make([]image, o.Images), spare: make([]image, o.Singles+probes)}
	var group errgroup.Group
	group.SetLimit(8)
	repositories := (o.Images + tags - 1) / tags
	for i := range repositories {
		group.Go(func() error { return fill(root, i, c.images[i*tags:min((i+1)*tags, o.Images)]) })
	}
	for i := range c.spare {
		group.Go(func() error { return fill(root, repositories+i, c.spare[i:i+1]) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var err error
	c.origin, err = o.Binaries.StartOrigin(ctx, o.Dir, root)
	return c, err
}

// fill makes the images of the nth repository: of one or two layers, small ones.
func fill(root string, n int, images []image) error {
	host, repository := fmt.Sprintf("registry-%d.example", n%hosts), fmt.Sprintf("team-%d/app-%d", n%teams, n)
	folder, err := content.New(root, repository)
	if err != nil {
		return err
	}
	for i := range images {
		sizes := []int64{4<<10 + rand.Int64N(28<<10)}
		if i%2 == 1 {
			sizes = append(sizes, 1<<10+rand.Int64N(4<<10))
		}
		made, err := folder.AddImage(fmt.Sprintf("v%d", i), sizes...)
		if err != nil {
			return err
		}
		images[i] = image{Image: made, name: host + "/" + repository + ":" + made.Tag, host: host, repository: repository}
	}
	return nil
}

// config has the registry find all hosts at the origin.
func (c *catalogue) config() string {
	var b strings.Builder
	b.WriteString("registries:\n")
	for i := range hosts {
		fmt.Fprintf(&b, "- host: registry-%d.example\n  endpoints: [%q]\n", i, c.origin.Base())
	}
	return b.String()
}
