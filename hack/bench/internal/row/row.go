// Package row is the rows of the benchmark: what is started, what load it gets, and what is measured of it. Within a row the
// rounds of all servers alternate, so that what disturbs the machine for a while disturbs all alike.
package row

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
	"github.com/larder-dev/larder/hack/bench/internal/load"
	"github.com/larder-dev/larder/hack/bench/internal/process"
	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// repository is where all images are.
const repository = "team/app"

// mib and gib are in bytes.
const (
	mib = 1 << 20
	gib = 1 << 30
)

// Row is a row of the benchmark.
type Row struct {
	Name string // on the command line
	Run  func(ctx context.Context, b *Bench) (report.Row, error)
}

// All returns the rows, in the order of the page.
func All() []Row {
	return []Row{
		{"cold", coldSmall}, {"saturated", coldLarge}, {"warm", warm}, {"head", head}, {"outage", outage}, {"start", start}, {"pull", pull},
		{"proxy", proxy},
	}
}

// Bench is what all rows share.
type Bench struct {
	Dir      string // for contents and stores
	Binaries server.Binaries
	Rounds   int
	Quick    bool // smaller and shorter; the figures are for a look, not for quoting
	Progress func(format string, args ...any)
}

// shorter returns the first value, or with Quick the second.
func shorter[T any](b *Bench, full, quick T) T {
	if b.Quick {
		return quick
	}
	return full
}

// stage is a row's own origin, content and servers.
type stage struct {
	*Bench
	dir     string
	folder  *content.Folder
	origin  *server.Registry
	running []*server.Server
	started int
	opened  []content.Original
}

func (b *Bench) stage(ctx context.Context, name string) (*stage, error) {
	s := &stage{Bench: b, dir: filepath.Join(b.Dir, name)}
	var err error
	if s.folder, err = content.New(filepath.Join(s.dir, "content"), repository); err != nil {
		return nil, err
	}
	if s.origin, err = b.Binaries.StartOrigin(ctx, s.dir, s.folder.Root); err != nil {
		return nil, err
	}
	return s, nil
}

// image makes the stage's image and opens the originals of its blobs.
func (s *stage) image(sizes ...int64) (content.Image, []content.Original, error) {
	img, err := s.folder.AddImage("latest", sizes...)
	if err != nil {
		return content.Image{}, nil, err
	}
	var originals []content.Original
	for _, blob := range img.Blobs {
		original, err := content.Open(blob)
		if err != nil {
			return content.Image{}, nil, err
		}
		originals = append(originals, original)
	}
	s.opened = append(s.opened, originals...)
	return img, originals, nil
}

// setup is for a server in a new, empty folder.
func (s *stage) setup(interval string) server.Setup {
	s.started++
	return server.Setup{
		Dir: filepath.Join(s.dir, fmt.Sprintf("server-%d", s.started)), Content: s.folder.Root,
		Origin: s.origin.Base(), Interval: interval,
	}
}

// start starts a server with an empty store, which runs until the stage closes.
func (s *stage) start(ctx context.Context, name server.Name, interval string) (*server.Server, error) {
	running, err := s.Binaries.Start(ctx, name, s.setup(interval))
	if err == nil {
		s.running = append(s.running, running)
	}
	return running, err
}

// watched has a load run, and returns what each of the servers used meanwhile.
func watched(servers []*server.Server, load func() error) ([]process.Usage, error) {
	watches := make([]*process.Watch, len(servers))
	for i, on := range servers {
		var err error
		if watches[i], err = on.Watch(); err != nil {
			return nil, err
		}
	}
	errs := []error{load()}
	usages := make([]process.Usage, len(servers))
	for i, watch := range watches {
		var err error
		usages[i], err = watch.Stop()
		errs = append(errs, err)
	}
	return usages, errors.Join(errs...)
}

// close stops what runs, and removes what was written.
func (s *stage) close() error {
	var errs []error
	for _, running := range s.running {
		errs = append(errs, running.Stop())
	}
	errs = append(errs, s.origin.Stop())
	for _, original := range s.opened {
		errs = append(errs, original.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// fetchManifest fetches an image's manifest by its tag, as every pull begins.
func fetchManifest(ctx context.Context, on *server.Server, img content.Image) error {
	return load.Manifest(ctx, on.URL(repository, "manifests", img.Tag), img.Manifest)
}

// seconds is for values of a measure.
func seconds(d time.Duration) float64 { return d.Seconds() }

// millis is for values of a measure.
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// mebibytes is for values of a measure.
func mebibytes(n int64) float64 { return float64(n) / mib }
