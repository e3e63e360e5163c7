package row

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
	"github.com/larder-dev/larder/hack/bench/internal/load"
	"github.com/larder-dev/larder/hack/bench/internal/process"
	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// askers is how many connections ask for a tag, each with one request at a time.
const askers = 32

const headHow = `32 kept connections with one request at a time each, driven by one thread with epoll, ask HEAD for one cached tag inside its
interval as fast as they are answered. Larder writes its access log to a file and counts its metrics; the bare net/http
server sets four headers and does nothing else; distribution writes no access log. Status, digest and length of every answer are checked.`

func head(ctx context.Context, b *Bench) (report.Row, error) {
	s, err := b.stage(ctx, "head")
	if err != nil {
		return report.Row{}, err
	}
	defer s.close()
	img, _, err := s.image(mib)
	if err != nil {
		return report.Row{}, err
	}
	floor := string(server.Floor)
	h := &headRow{
		stage: s, img: img,
		rate: report.Measure{
			What: "answers per second", Base: floor, Plot: true,
			Target: &report.Target{Text: "at least 0.75 × a bare net/http server", Ratio: true, AtLeast: true, Limit: 0.75},
		},
		cpu: report.Measure{
			What: "server CPU per answer", Unit: "µs", Base: floor, Plot: true,
			Target: &report.Target{Text: "at most 20 µs", Limit: 20, Floor: floor},
		},
		late:   report.Measure{What: "p99", Unit: "ms", Target: &report.Target{Text: "below 5 ms", Limit: 5, Floor: floor}},
		memory: report.Measure{What: "peak anonymous RSS", Unit: "MiB"},
	}
	if err := h.run(ctx); err != nil {
		return report.Row{}, err
	}
	return report.Row{
		Name: "head", Title: "HEAD of a cached tag", How: headHow, Measures: []report.Measure{h.rate, h.cpu, h.late, h.memory},
	}, nil
}

type headRow struct {
	*stage
	img                     content.Image
	rate, cpu, late, memory report.Measure
}

func (h *headRow) run(ctx context.Context) error {
	names := []server.Name{server.Larder, server.Silent, server.Floor, server.Distribution}
	servers := make([]*server.Server, len(names))
	for i, name := range names {
		on, err := h.start(ctx, name, "1h")
		if err == nil {
			err = fetchManifest(ctx, on, h.img)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		servers[i] = on
	}
	for round := range h.Rounds {
		for i, on := range servers {
			h.Progress("head: round %d of %d, %s", round+1, h.Rounds, names[i])
			took, usages, err := h.ask(ctx, h.img, on)
			if err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
			h.add(string(names[i]), took, usages[0])
		}
	}
	return nil
}

func (h *headRow) add(label string, took load.Latencies, usage process.Usage) {
	answers := float64(len(took))
	h.rate.Add(label, answers/seconds(usage.Wall))
	h.cpu.Add(label, seconds(usage.CPU)*1e6/answers)
	h.late.Add(label, millis(took.Quantile(0.99)))
	h.memory.Add(label, mebibytes(usage.Peak))
}

func headOf(on *server.Server, img content.Image) load.Head {
	return load.Head{
		Address: on.Address, Path: on.Path(repository, "manifests", img.Tag), Digest: img.Digest, Length: len(img.Manifest),
	}
}

// ask asks the first of the servers for an image's tag for a while, and returns what each server used.
func (s *stage) ask(ctx context.Context, img content.Image, servers ...*server.Server) (took load.Latencies, usages []process.Usage, err error) {
	usages, err = watched(servers, func() (err error) {
		took, err = load.Heads(ctx, headOf(servers[0], img), askers, shorter(s.Bench, 5*time.Second, time.Second))
		if err == nil && len(took) == 0 {
			err = errors.New("no answer at all")
		}
		return err
	})
	return took, usages, err
}
