package row

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
	"github.com/larder-dev/larder/hack/bench/internal/load"
	"github.com/larder-dev/larder/hack/bench/internal/process"
	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

const proxyHow = `larder-proxy relays to larder serve, both with access log and metrics, and the clients of two rows above come to it: eight connections read
the stored blob, then 32 ask HEAD for the cached tag; then the same direct from the same larder serve. CPU through larder-proxy is the sum of
the two processes, each of which stands beside it. Idle is right after that load, when nothing is asked. Then one more larder-proxy is started:
from exec to the first good answer of /readyz, asked for every millisecond. Resident memory is VmRSS, which counts the pages of the binary too.`

// Labels of the row about larder-proxy.
const (
	through = "through larder-proxy"
	alone   = string(server.Proxy)
	behind  = "larder serve behind it"
)

func proxy(ctx context.Context, b *Bench) (report.Row, error) {
	s, err := b.stage(ctx, "proxy")
	if err != nil {
		return report.Row{}, err
	}
	defer s.close()
	img, originals, err := s.image(warmSize(b))
	if err != nil {
		return report.Row{}, err
	}
	idle := &report.Target{Text: "below 20 MiB", Limit: 20}
	p := &proxyRow{
		stage: s, img: img, original: originals[1],
		blob:    report.Measure{What: "warm blob: server CPU per GB", Unit: "s", Base: direct},
		speed:   report.Measure{What: "warm blob: throughput", Unit: "GB/s", Base: direct},
		answer:  report.Measure{What: "HEAD: server CPU per answer", Unit: "µs", Base: direct},
		rate:    report.Measure{What: "HEAD: answers per second", Base: direct},
		late:    report.Measure{What: "HEAD: p99", Unit: "ms"},
		peak:    report.Measure{What: "peak anonymous RSS", Unit: "MiB"},
		idle:    report.Measure{What: "resident memory, idle after load", Unit: "MiB", Target: idle},
		started: report.Measure{What: "resident memory, just started", Unit: "MiB", Target: idle},
		ready:   report.Measure{What: "from exec to ready", Unit: "ms", Target: &report.Target{Text: "at most 200 ms", Limit: 200}},
		size:    report.Measure{What: "stripped binary", Unit: "MB", Target: &report.Target{Text: "below 20 MB", Limit: 20}},
	}
	if err := p.run(ctx); err != nil {
		return report.Row{}, err
	}
	return report.Row{
		Name: "proxy", Title: "larder-proxy in front of the registry", How: proxyHow,
		Measures: []report.Measure{p.blob, p.speed, p.answer, p.rate, p.late, p.peak, p.idle, p.started, p.ready, p.size},
	}, nil
}

type proxyRow struct {
	*stage
	img                 content.Image
	original            content.Original
	registry, proxy     *server.Server
	blob, speed         report.Measure
	answer, rate, late  report.Measure
	peak, idle, started report.Measure
	ready, size         report.Measure
}

func (p *proxyRow) run(ctx context.Context) (err error) {
	if p.registry, err = p.start(ctx, server.Larder, "1h"); err != nil {
		return err
	}
	setup, err := p.proxySetup(ctx)
	if err != nil {
		return err
	}
	if p.proxy, err = p.Binaries.Start(ctx, server.Proxy, setup); err != nil {
		return err
	}
	p.running = append(p.running, p.proxy)
	if err := p.weigh(); err != nil {
		return err
	}
	if err := fill(ctx, p.registry, p.img, p.original); err != nil {
		return err
	}
	for round := range p.Rounds {
		p.Progress("proxy: round %d of %d", round+1, p.Rounds)
		if err := p.round(ctx); err != nil {
			return err
		}
	}
	return nil
}

// weigh looks at the binary.
func (p *proxyRow) weigh() error {
	info, err := os.Stat(p.Binaries.Proxy)
	if err != nil {
		return fmt.Errorf("looking at the binary: %w", err)
	}
	p.size.Add(alone, float64(info.Size())/1e6)
	return nil
}

// proxySetup is for a larder-proxy that relays to the row's registry.
func (p *proxyRow) proxySetup(ctx context.Context) (setup server.Setup, err error) {
	setup = p.setup("")
	setup.Registry = p.registry.Address
	setup.Probes, err = server.FreeAddress(ctx)
	return setup, err
}

func (p *proxyRow) round(ctx context.Context) error {
	if err := p.load(ctx, p.proxy, p.registry); err != nil {
		return fmt.Errorf("%s: %w", through, err)
	}
	resident, err := p.proxy.RSS()
	if err != nil {
		return err
	}
	p.idle.Add(alone, mebibytes(resident))
	if err := p.load(ctx, p.registry); err != nil {
		return fmt.Errorf("%s: %w", direct, err)
	}
	return p.begin(ctx)
}

// load reads the blob and asks for the tag. The clients ask the first of the servers, the other one is behind it.
func (p *proxyRow) load(ctx context.Context, servers ...*server.Server) error {
	n, reading, err := p.readWarm(ctx, p.img, p.original, servers...)
	if err != nil {
		return err
	}
	took, asking, err := p.ask(ctx, p.img, servers...)
	if err != nil {
		return err
	}
	gigabytes, answers := float64(n)/1e9, float64(len(took))
	whole := shares(&p.blob, reading, gigabytes)
	shares(&p.answer, asking, answers/1e6)
	p.speed.Add(whole, gigabytes/seconds(reading[0].Wall))
	p.rate.Add(whole, answers/seconds(asking[0].Wall))
	p.late.Add(whole, millis(took.Quantile(0.99)))
	if whole == through {
		p.peak.Add(alone, mebibytes(max(reading[0].Peak, asking[0].Peak)))
	}
	return nil
}

// shares adds the CPU for each unit of work: of all processes, and of each where there are two. It returns the label of the first.
func shares(m *report.Measure, used []process.Usage, work float64) string {
	if len(used) == 1 {
		m.Add(direct, seconds(used[0].CPU)/work)
		return direct
	}
	m.Add(through, seconds(used[0].CPU+used[1].CPU)/work)
	m.Add(alone, seconds(used[0].CPU)/work)
	m.Add(behind, seconds(used[1].CPU)/work)
	return through
}

// begin starts one more larder-proxy, which must relay as soon as it is ready.
func (p *proxyRow) begin(ctx context.Context) error {
	setup, err := p.proxySetup(ctx)
	if err != nil {
		return err
	}
	address, err := server.FreeAddress(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	begun := time.Now()
	on, err := p.Binaries.StartAt(ctx, server.Proxy, address, setup)
	if err != nil {
		return err
	}
	defer on.Kill()
	if err := await(ctx, on, func() error { return load.Ready(ctx, "http://"+setup.Probes+"/readyz") }); err != nil {
		return err
	}
	p.ready.Add(alone, millis(time.Since(begun)))
	if err := fetchManifest(ctx, on, p.img); err != nil {
		return err
	}
	resident, err := on.RSS()
	p.started.Add(alone, mebibytes(resident))
	return err
}
