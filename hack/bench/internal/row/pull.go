package row

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
	"github.com/larder-dev/larder/hack/bench/internal/load"
	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// pullRate is what each connection to the origin carries, in bytes per second.
const pullRate = 50 * mib

const pullHow = `A client pulls as containerd does: the tag's manifest, then config and layers, three at a time, each on a new connection, and compares every
byte. The origin sends each connection at 50 MiB/s. Cold is a new process with an empty store, warm the same pull again; direct is from
the origin itself.`

// direct is the label of pulls without a cache.
const direct = "direct"

func pull(ctx context.Context, b *Bench) (report.Row, error) {
	s, err := b.stage(ctx, "pull")
	if err != nil {
		return report.Row{}, err
	}
	defer s.close()
	sizes := []int64{60 * mib, 20 * mib, 50 * mib, 30 * mib, 40 * mib, 45 * mib}
	img, originals, err := s.image(sizes...)
	if err != nil {
		return report.Row{}, err
	}
	if err := s.origin.Set(ctx, modeAt(pullRate)); err != nil {
		return report.Row{}, err
	}
	p := &pullRow{
		stage: s, img: img, originals: originals,
		cold:   report.Measure{What: "cold pull", Unit: "s", Base: direct, Plot: true},
		warm:   report.Measure{What: "warm pull", Unit: "s", Base: direct, Plot: true},
		cpu:    report.Measure{What: "server CPU of the cold pull", Unit: "s"},
		cpu2:   report.Measure{What: "server CPU of the warm pull", Unit: "s"},
		memory: report.Measure{What: "peak anonymous RSS", Unit: "MiB"},
	}
	for round := range b.Rounds {
		b.Progress("pull: round %d of %d", round+1, b.Rounds)
		if err := p.round(ctx); err != nil {
			return report.Row{}, err
		}
	}
	return report.Row{
		Name: "pull", Title: "Pulling an image of 6 layers, 245 MiB", How: pullHow,
		Measures: []report.Measure{p.cold, p.warm, p.cpu, p.cpu2, p.memory},
	}, nil
}

type pullRow struct {
	*stage
	img                           content.Image
	originals                     []content.Original
	cold, warm, cpu, cpu2, memory report.Measure
}

func (p *pullRow) round(ctx context.Context) error {
	for _, name := range []server.Name{server.Larder, server.Distribution} {
		if err := p.through(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	took, err := p.from(ctx, p.origin.Server)
	p.cold.Add(direct, seconds(took))
	p.warm.Add(direct, seconds(took))
	return err
}

// through pulls twice by way of a new cache.
func (p *pullRow) through(ctx context.Context, name server.Name) (err error) {
	on, err := p.Binaries.Start(ctx, name, p.setup("1h"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, on.Stop()) }()
	label := string(name)
	var peak int64
	for _, m := range []struct{ took, cpu *report.Measure }{{&p.cold, &p.cpu}, {&p.warm, &p.cpu2}} {
		watch, err := on.Watch()
		if err != nil {
			return err
		}
		took, err := p.from(ctx, on)
		usage, failed := watch.Stop()
		if err := errors.Join(err, failed); err != nil {
			return err
		}
		m.took.Add(label, seconds(took))
		m.cpu.Add(label, seconds(usage.CPU))
		peak = max(peak, usage.Peak)
	}
	p.memory.Add(label, mebibytes(peak))
	return nil
}

func (p *pullRow) from(ctx context.Context, on *server.Server) (time.Duration, error) {
	begun := time.Now()
	err := load.Pull(ctx, load.Place{
		Manifest: on.URL(repository, "manifests", p.img.Tag),
		Blob:     func(digest string) string { return on.URL(repository, "blobs", digest) },
	}, p.img, p.originals)
	return time.Since(begun), err
}
