package pull

import (
	"fmt"
	"io"
	"time"

	"github.com/larder-dev/larder/internal/app/cli"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/schollz/progressbar/v3"
)

// stillEvery is how often plain output says that a long pull moves.
const stillEvery = 15 * time.Second

// display shows how the pull of one image goes. Its methods are never called at the same time.
type display interface {
	progress(cache.Progress)
	// end makes room for the line that says how it ended.
	end()
}

func newDisplay(w io.Writer, terminal bool, ref imageref.Reference) display {
	if terminal {
		return newBar(w, ref)
	}
	return &lines{w: w, ref: ref, last: time.Now()}
}

// lines is for logs and files: a line now and then.
type lines struct {
	w    io.Writer
	ref  imageref.Reference
	last time.Time
}

func (l *lines) progress(p cache.Progress) {
	if time.Since(l.last) < stillEvery {
		return
	}
	l.last = time.Now()
	_, _ = fmt.Fprintf(l.w, "%s: %s of %s\n", l.ref, cli.Size(p.Done), cli.Size(p.Total))
}

func (l *lines) end() {}

// bar is for a terminal: one line that is drawn over. It tells no rate: what is stored already arrives at once.
type bar struct {
	bar   *progressbar.ProgressBar
	name  string
	total int64 // the largest so far
}

func newBar(w io.Writer, ref imageref.Reference) *bar {
	return &bar{name: ref.String(), bar: progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(ref.String()),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSetSpinnerChangeInterval(0),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// A terminal that cannot be written to is no reason to end a pull: the errors of drawing are dropped.
func (b *bar) progress(p cache.Progress) {
	if p.Total <= 0 {
		return
	}
	grown := p.Total > b.total
	b.total = max(b.total, p.Total)
	// First: what follows within the throttle's time is not drawn.
	b.bar.Describe(fmt.Sprintf("%s %s of %s", b.name, cli.Size(p.Done), cli.Size(b.total)))
	if grown {
		b.bar.ChangeMax64(b.total)
	}
	// The bar takes its full length for the end, which comes only with the result.
	_ = b.bar.Set64(max(min(p.Done, b.total-1), 0))
}

func (b *bar) end() { _ = b.bar.Clear() }
