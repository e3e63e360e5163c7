package row

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-dev/larder/hack/bench/internal/content"
	"github.com/larder-dev/larder/hack/bench/internal/load"
	"github.com/larder-dev/larder/hack/bench/internal/origin"
	"github.com/larder-dev/larder/hack/bench/internal/process"
	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// readers is how many connections read a warm blob.
const readers = 8

const warmHow = `Eight connections read one stored blob again and again, and compare every byte. CPU is user and system time of the server's
processes from /proc; it holds the kernel's work of sending over loopback, which is the same for all. nginx and the bare
net/http server send the original file.`

func warmSize(b *Bench) int64 { return shorter[int64](b, gib, 256*mib) }

func modeAt(rate int64) origin.Mode { return origin.Mode{Rate: rate} }

func warm(ctx context.Context, b *Bench) (report.Row, error) {
	s, err := b.stage(ctx, "warm")
	if err != nil {
		return report.Row{}, err
	}
	defer s.close()
	size := warmSize(b)
	img, originals, err := s.image(size)
	if err != nil {
		return report.Row{}, err
	}
	w := &warmRow{
		stage: s, img: img, original: originals[1],
		cpu: report.Measure{
			What: "server CPU per GB", Unit: "s", Base: string(server.Nginx), Plot: true,
			Target: &report.Target{Text: "at most 1.1 × nginx with sendfile", Ratio: true, Limit: 1.1},
		},
		speed:  report.Measure{What: "throughput", Unit: "GB/s"},
		memory: report.Measure{What: "peak anonymous RSS", Unit: "MiB"},
	}
	if err := w.run(ctx); err != nil {
		return report.Row{}, err
	}
	return report.Row{
		Name: "warm", Title: fmt.Sprintf("A warm blob of %d MiB", size/mib), How: warmHow,
		Measures: []report.Measure{w.cpu, w.speed, w.memory},
	}, nil
}

type warmRow struct {
	*stage
	img                content.Image
	original           content.Original
	cpu, speed, memory report.Measure
}

func (w *warmRow) run(ctx context.Context) error {
	var servers []*server.Server
	var names []server.Name
	for _, name := range []server.Name{server.Larder, server.Nginx, server.Floor, server.Distribution} {
		on, err := w.start(ctx, name, "1h")
		if errors.Is(err, server.ErrMissing) {
			w.cpu.Note(string(name), "not installed")
			continue
		}
		if err == nil {
			err = fill(ctx, on, w.img, w.original)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		servers, names = append(servers, on), append(names, name)
	}
	for round := range w.Rounds {
		for i, on := range servers {
			w.Progress("warm: round %d of %d, %s", round+1, w.Rounds, names[i])
			if err := w.read(ctx, names[i], on); err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
		}
	}
	return nil
}

// fill has a cache store the blob.
func fill(ctx context.Context, on *server.Server, img content.Image, original content.Original) error {
	if err := fetchManifest(ctx, on, img); err != nil {
		return err
	}
	return load.Blob(ctx, on.URL(repository, "blobs", img.Blobs[1].Digest), original)
}

// read is one round of one server.
func (w *warmRow) read(ctx context.Context, name server.Name, on *server.Server) error {
	n, usages, err := w.readWarm(ctx, w.img, w.original, on)
	if err != nil {
		return err
	}
	w.cpu.Add(string(name), seconds(usages[0].CPU)/(float64(n)/1e9))
	w.speed.Add(string(name), float64(n)/1e9/seconds(usages[0].Wall))
	w.memory.Add(string(name), mebibytes(usages[0].Peak))
	return nil
}

// readWarm reads the blob from the first of the servers, and returns how many bytes came and what each server used. The origin must not
// be asked.
func (s *stage) readWarm(ctx context.Context, img content.Image, original content.Original, servers ...*server.Server) (
	n int64, usages []process.Usage, err error,
) {
	if err := s.origin.Forget(ctx); err != nil {
		return 0, nil, err
	}
	path := servers[0].Path(repository, "blobs", img.Blobs[1].Digest)
	usages, err = watched(servers, func() (err error) {
		n, err = load.Repeat(ctx, servers[0].Address, path, original, readers, 1)
		return err
	})
	sent, unknown := s.origin.Sent(ctx)
	if err := errors.Join(err, unknown); err != nil {
		return 0, nil, err
	}
	if len(sent.Bytes) > 0 {
		return 0, nil, fmt.Errorf("the blob is not warm: the origin sent %v", sent.Bytes)
	}
	return n, usages, nil
}
