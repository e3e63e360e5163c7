package row

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
	"github.com/larder-dev/larder/hack/bench/internal/load"
	"github.com/larder-dev/larder/hack/bench/internal/process"
	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// crowd is so many clients of a cold blob.
type crowd struct {
	server  server.Name
	clients int
}

func (c crowd) label() string { return fmt.Sprintf("%s, %d clients", c.server, c.clients) }

// flood is a cold blob that crowds ask for.
type flood struct {
	name   string
	size   int64
	rate   int64 // of each connection to the origin, in bytes per second
	crowds []crowd
}

func coldSmall(ctx context.Context, b *Bench) (report.Row, error) {
	n := shorter(b, 500, 100)
	f := flood{
		name: "cold", size: 16 * mib, rate: 2 * mib,
		crowds: []crowd{{server.Larder, n}, {server.Distribution, 20}, {server.Distribution, n}},
	}
	m := newColdMeasures()
	m.origin.Target = &report.Target{Text: "1.00 × the blob", Limit: 1.005}
	m.late.Target = &report.Target{Text: "at most 50 ms after the leader's", Limit: 50}
	m.memory.Target = &report.Target{Text: "below 64 MiB", Limit: 64}
	m.origin.Plot, m.late.Plot = true, true
	return b.cold(ctx, f, m, report.Row{Title: "Cold clients of one blob, 16 MiB from a 2 MiB/s origin", How: coldHow})
}

func coldLarge(ctx context.Context, b *Bench) (report.Row, error) {
	f := flood{
		name: "saturated", size: shorter[int64](b, 256, 64) * mib, rate: 32 * mib,
		crowds: []crowd{{server.Larder, shorter(b, 500, 100)}, {server.Distribution, 20}},
	}
	m := newColdMeasures()
	m.origin.Target = &report.Target{Text: "1.00 × the blob", Limit: 1.005}
	m.memory.Target = &report.Target{Text: "below 64 MiB", Limit: 64}
	m.memory.Plot = true
	return b.cold(ctx, f, m, report.Row{
		Title: fmt.Sprintf("The same, saturated: %d MiB from a 32 MiB/s origin", f.size/mib), How: largeHow,
	})
}

// coldMeasures are the measures of a flood, in the order of the page.
type coldMeasures struct {
	origin, leader, middle, late, whole, cpu, memory report.Measure
}

func newColdMeasures() *coldMeasures {
	return &coldMeasures{
		origin: report.Measure{What: "origin bytes by the blob's size"},
		leader: report.Measure{What: "first byte of the leader", Unit: "ms"},
		middle: report.Measure{What: "first byte of the joiners after it, p50", Unit: "ms"},
		late:   report.Measure{What: "first byte of the joiners after it, p99", Unit: "ms"},
		whole:  report.Measure{What: "all clients have the whole blob", Unit: "s"},
		cpu:    report.Measure{What: "server CPU per GB delivered", Unit: "s"},
		memory: report.Measure{What: "peak anonymous RSS", Unit: "MiB"},
	}
}

func (m *coldMeasures) all() []report.Measure {
	return []report.Measure{m.origin, m.leader, m.middle, m.late, m.whole, m.cpu, m.memory}
}

const coldHow = `Every round starts a new process with an empty store. One client pulls the manifest; then all clients, connected before the
clock starts, ask for the layer at once, and compare every byte of what they get with the original. The origin sends each
connection at the stated rate and counts. The leader is the client whose first byte came first; all others are joiners.`

const largeHow = `As above; every byte of every client is compared here too. So many clients take more than the machine can move: the times say how
fast that is, and memory is what is looked at.`

func (b *Bench) cold(ctx context.Context, f flood, m *coldMeasures, row report.Row) (report.Row, error) {
	s, err := b.stage(ctx, f.name)
	if err != nil {
		return report.Row{}, err
	}
	defer s.close()
	img, originals, err := s.image(f.size)
	if err != nil {
		return report.Row{}, err
	}
	if err := s.origin.Set(ctx, modeAt(f.rate)); err != nil {
		return report.Row{}, err
	}
	for round := range b.Rounds {
		for _, c := range f.crowds {
			b.Progress("%s: round %d of %d, %s", f.name, round+1, b.Rounds, c.label())
			if err := s.floodOnce(ctx, c, img, originals[1], m); err != nil {
				return report.Row{}, fmt.Errorf("%s: %w", c.label(), err)
			}
		}
	}
	row.Name, row.Measures = f.name, m.all()
	return row, nil
}

// floodOnce is one round of one crowd.
func (s *stage) floodOnce(ctx context.Context, c crowd, img content.Image, original content.Original, m *coldMeasures) (err error) {
	on, err := s.Binaries.Start(ctx, c.server, s.setup("1h"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, on.Stop()) }()
	if err := fetchManifest(ctx, on, img); err != nil {
		return err
	}
	if err := s.origin.Forget(ctx); err != nil {
		return err
	}
	watch, err := on.Watch()
	if err != nil {
		return err
	}
	readings, err := load.Fan(ctx, on.Address, on.Path(repository, "blobs", img.Blobs[1].Digest), original, c.clients)
	usage, failed := watch.Stop()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	sent, err := s.origin.Sent(ctx)
	if err != nil {
		return err
	}
	fetched := sent.Bytes["/v2/"+repository+"/blobs/"+img.Blobs[1].Digest]
	m.origin.Add(c.label(), float64(fetched)/float64(len(original)))
	return m.add(c.label(), readings, usage, int64(len(original)))
}

// add adds a round in which every answer was right; else it returns what was wrong.
func (m *coldMeasures) add(label string, readings []load.Reading, usage process.Usage, size int64) error {
	var firsts []time.Duration
	var whole time.Duration
	for i, r := range readings {
		if r.Err != nil {
			return fmt.Errorf("client %d: %w", i, r.Err)
		}
		firsts = append(firsts, r.First)
		whole = max(whole, r.Last)
	}
	slices.Sort(firsts)
	leader := firsts[0]
	joiners := load.Latencies(firsts[1:])
	m.leader.Add(label, millis(leader))
	m.middle.Add(label, millis(joiners.Quantile(0.5)-leader))
	m.late.Add(label, millis(joiners.Quantile(0.99)-leader))
	m.whole.Add(label, seconds(whole))
	m.cpu.Add(label, seconds(usage.CPU)/(float64(size)*float64(len(readings))/1e9))
	m.memory.Add(label, mebibytes(usage.Peak))
	return nil
}
