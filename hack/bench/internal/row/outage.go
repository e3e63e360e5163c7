package row

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
	"github.com/larder-dev/larder/hack/bench/internal/load"
	"github.com/larder-dev/larder/hack/bench/internal/origin"
	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// outageWait is how long a peer may take to answer while the origin fails.
const outageWait = 20 * time.Second

const outageHow = `A tag is cached, with updateInterval 0s: every request would check. Then the origin fails. The first request meets the failure;
after its answer 32 connections ask for HEAD as in the row above. distribution, which asks its origin for every request, is asked by eight
connections at once, which wait up to 20 s (2 s with -quick).`

// failing is a way in which the origin fails.
type failing struct {
	what  string
	mode  origin.Mode
	first report.Measure
	late  report.Measure
	rate  report.Measure
}

func newFailing(what string, mode origin.Mode) *failing {
	return &failing{
		what: what, mode: mode,
		first: report.Measure{What: "origin " + what + ": first answer", Unit: "ms"},
		late: report.Measure{
			What: "origin " + what + ": p99 after the first answer", Unit: "ms",
			Target: &report.Target{Text: "below 50 ms", Limit: 50},
		},
		rate: report.Measure{What: "origin " + what + ": answers per second after it"},
	}
}

func outage(ctx context.Context, b *Bench) (report.Row, error) {
	s, err := b.stage(ctx, "outage")
	if err != nil {
		return report.Row{}, err
	}
	defer s.close()
	img, _, err := s.image(mib)
	if err != nil {
		return report.Row{}, err
	}
	row := report.Row{Name: "outage", Title: "HEAD of a cached tag while its origin fails", How: outageHow}
	for _, f := range []*failing{newFailing("hangs", origin.Mode{Hang: true}), newFailing("answers 503", origin.Mode{Status: 503})} {
		for round := range b.Rounds {
			b.Progress("outage: origin %s, round %d of %d, Larder", f.what, round+1, b.Rounds)
			if err := s.outlive(ctx, f, img); err != nil {
				return report.Row{}, fmt.Errorf("origin %s: %w", f.what, err)
			}
		}
		b.Progress("outage: origin %s, distribution", f.what)
		if err := s.askPeer(ctx, f, img); err != nil {
			return report.Row{}, fmt.Errorf("origin %s: distribution: %w", f.what, err)
		}
		row.Measures = append(row.Measures, f.first, f.late, f.rate)
	}
	return row, nil
}

// cached starts a server that has the image's manifest, and then has the origin fail.
func (s *stage) cached(ctx context.Context, name server.Name, f *failing, img content.Image) (*server.Server, error) {
	if err := s.origin.Set(ctx, modeAt(0)); err != nil {
		return nil, err
	}
	on, err := s.Binaries.Start(ctx, name, s.setup("0s"))
	if err != nil {
		return nil, err
	}
	err = fetchManifest(ctx, on, img)
	if err == nil {
		err = s.origin.Set(ctx, f.mode)
	}
	if err != nil {
		return nil, errors.Join(err, on.Stop())
	}
	return on, nil
}

// outlive is one round of Larder.
func (s *stage) outlive(ctx context.Context, f *failing, img content.Image) (err error) {
	on, err := s.cached(ctx, server.Larder, f, img)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, on.Stop()) }()
	label := string(server.Larder)
	begun := time.Now()
	if err := load.HeadOnce(ctx, headOf(on, img), outageWait); err != nil {
		return err
	}
	f.first.Add(label, millis(time.Since(begun)))
	took, usages, err := s.ask(ctx, img, on)
	if err != nil {
		return err
	}
	f.late.Add(label, millis(took.Quantile(0.99)))
	f.rate.Add(label, float64(len(took))/seconds(usages[0].Wall))
	return nil
}

// askPeer notes what distribution answers.
func (s *stage) askPeer(ctx context.Context, f *failing, img content.Image) (err error) {
	on, err := s.cached(ctx, server.Distribution, f, img)
	if err != nil {
		return err
	}
	defer on.Kill() // it would wait for its origin
	wait := shorter(s.Bench, outageWait, outageWait/10)
	errs := make([]error, 8)
	var done sync.WaitGroup
	begun := time.Now()
	for i := range errs {
		done.Go(func() { errs[i] = load.HeadOnce(ctx, headOf(on, img), wait) })
	}
	done.Wait()
	answered, failure := 0, error(nil)
	for _, err := range errs {
		if err == nil {
			answered++
		} else {
			failure = err
		}
	}
	label := string(server.Distribution)
	switch {
	case answered == len(errs):
		f.first.Add(label, millis(time.Since(begun)))
	case errors.Is(failure, context.DeadlineExceeded):
		f.first.Note(label, fmt.Sprintf("%d of %d right answers within %s", answered, len(errs), wait))
	default:
		f.first.Note(label, fmt.Sprintf("%d of %d right answers: %s", answered, len(errs), reason(failure)))
	}
	return nil
}
