package row

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// startWait is how long a server may take to serve what it has stored.
const startWait = 20 * time.Second

const startHow = `The image is pulled once, the server and the origin are ended, and the server is started again: from exec to the first right manifest,
asked for every millisecond.`

func start(ctx context.Context, b *Bench) (report.Row, error) {
	s, err := b.stage(ctx, "start")
	if err != nil {
		return report.Row{}, err
	}
	defer s.close()
	img, _, err := s.image(mib, mib, mib)
	if err != nil {
		return report.Row{}, err
	}
	m := report.Measure{What: "from exec to the first manifest", Unit: "ms", Target: &report.Target{Text: "at once: below 1 s", Limit: 1000}}
	names := []server.Name{server.Larder, server.Distribution}
	setups := make([]server.Setup, len(names))
	for i, name := range names {
		setups[i] = s.setup("1h")
		if err := s.prepare(ctx, name, setups[i], img); err != nil {
			return report.Row{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	s.origin.Kill()
	for round := range b.Rounds {
		for i, name := range names {
			b.Progress("start: round %d of %d, %s", round+1, b.Rounds, name)
			took, err := s.restart(ctx, name, setups[i], img)
			var gone *endedError
			switch {
			case errors.As(err, &gone):
				m.Note(string(name), "ends: "+gone.said)
			case err != nil:
				return report.Row{}, fmt.Errorf("%s: %w", name, err)
			default:
				m.Add(string(name), millis(took))
			}
		}
	}
	return report.Row{Name: "start", Title: "Starting while the origin is down", How: startHow, Measures: []report.Measure{m}}, nil
}

// prepare fills a store.
func (s *stage) prepare(ctx context.Context, name server.Name, setup server.Setup, img content.Image) error {
	on, err := s.Binaries.Start(ctx, name, setup)
	if err != nil {
		return err
	}
	return errors.Join(fetchManifest(ctx, on, img), on.Stop())
}

// endedError says that a server ended instead of serving.
type endedError struct{ said string }

func (e *endedError) Error() string { return "the server ended: " + e.said }

func (s *stage) restart(ctx context.Context, name server.Name, setup server.Setup, img content.Image) (time.Duration, error) {
	address, err := server.FreeAddress(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	begun := time.Now()
	on, err := s.Binaries.StartAt(ctx, name, address, setup)
	if err != nil {
		return 0, err
	}
	defer on.Kill()
	err = await(ctx, on, func() error { return fetchManifest(ctx, on, img) })
	return time.Since(begun), err
}

// await asks a server that starts, every millisecond, until it answers right.
func await(ctx context.Context, on *server.Server, ask func() error) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-on.Done():
			return &endedError{lastWords(on.Log)}
		case <-ctx.Done():
			return fmt.Errorf("nothing served after %s: %w", startWait, err)
		}
	}
}

// lastWords finds the line that says why a process ended.
func lastWords(log string) string {
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	said := ""
	for line := range strings.Lines(string(text)) {
		said = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic:") {
			break
		}
	}
	return shortened(said)
}

// reason is an error's text, for a cell of a table.
func reason(err error) string { return shortened(err.Error()) }

// address is one of this run, which tells a reader nothing.
var address = regexp.MustCompile(`"?(http://)?127\.0\.0\.1:\d+[^\s"]*"?`)

func shortened(text string) string {
	const most = 80
	text = address.ReplaceAllString(text, "…")
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ReplaceAll(text, "|", "/")
}
