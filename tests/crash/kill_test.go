package crash

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/process"
)

// TestKill_P1_AtAnyMoment kills larder serve while it works.
func TestKill_P1_AtAnyMoment(t *testing.T) {
	t.Parallel()
	seed := seed(t)
	luck := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	l := process.New(t, w.Origin, "updateInterval: 0s")
	root := filepath.Join(l.Dir, "larder-data")
	var complete int64
	longest := 600 * time.Millisecond
	for number := range scale(10, 200) {
		if number > 0 && len(w.finished) == 0 {
			longest = min(2*longest, 10*time.Second) // a slow machine finishes nothing in less
		}
		r := &round{world: w, larder: l, number: number, seed: seed}
		r.run(t, func() {
			<-time.After(time.Duration(luck.Int64N(int64(longest))))
			r.cut.Store(true)
			l.Kill()
		})
		complete += r.complete.Load()
		l.Start(t)
		requireNothingTemporary(t, root)
		w.Refuse()
		for _, img := range w.sample(luck, 3) {
			requireWhole(t, w, l.Addr, img)
		}
		w.Heal()
		w.slow()
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d answers were complete and right, %d images were reported as finished", complete, len(w.finished))
	requireSomething(t, w, complete)
	l.Restart(t)
	requireOnlyLasting(t, root)
	requireRecovery(t, w, l)
}

// requireSomething fails a test that has shown nothing.
func requireSomething(t *testing.T, w *world, complete int64) {
	t.Helper()
	if complete == 0 || len(w.finished) == 0 {
		t.Errorf("%d answers were complete and %d images finished: this shows nothing", complete, len(w.finished))
	}
}

// requireRecovery finds every finished image with the origin down, and the rest of the origin when it is back.
func requireRecovery(t *testing.T, w *world, l *process.Larder) {
	t.Helper()
	w.Refuse()
	for _, img := range w.finished {
		requireWhole(t, w, l.Addr, img)
	}
	w.Heal()
	w.push(t, "app:latest", w.variant(t)) // the last round may have been cut short in the middle of a push
	for tag, revisions := range w.revisions {
		if out, err := l.Run(t, "pull", host+"/"+tag); err != nil {
			t.Errorf("larder pull %s: %v\n%s", tag, err, out)
		}
		img := w.images[revisions[len(revisions)-1]]
		requireWhole(t, w, l.Addr, img)
	}
}
