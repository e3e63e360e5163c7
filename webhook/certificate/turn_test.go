package certificate

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"
	"time"
)

// watch is a turn whose bundle and clock a test sets.
type watch struct {
	*turn
	t      *testing.T
	clock  time.Time
	made   *tls.Certificate
	bundle []byte
}

func newWatch(t *testing.T) *watch {
	w := &watch{t: t, clock: start}
	w.turn = &turn{
		newest: func() (*tls.Certificate, error) {
			if w.made == nil {
				return nil, errors.New("none yet")
			}
			return w.made, nil
		},
		trusted: func(c *tls.Certificate) error { return vouches(w.bundle, c.Leaf, "webhook", w.clock) },
		now:     func() time.Time { return w.clock },
		settle:  settle,
	}
	return w
}

func (w *watch) want(what string, certificate *tls.Certificate) {
	w.t.Helper()
	if got, err := w.certificate(); err != nil || got != certificate {
		w.t.Errorf("%s: another certificate is served (%v)", what, err)
	}
}

func TestTurn_ALeafIsServedOnceAPIServersTrustIt(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	if _, err := w.certificate(); err == nil {
		t.Error("there is a certificate before one was made")
	}
	first, second, third := newAuthority(t, time.Hour*24), newAuthority(t, time.Hour*24), newAuthority(t, time.Hour*24)
	one, renewed, two, three := first.leaf(t, time.Hour), first.leaf(t, time.Hour), second.leaf(t, 2*time.Hour), third.leaf(t, 2*time.Hour)

	w.made = one
	w.want("the first, whether it is trusted or not", one)
	w.bundle = first.pem
	w.want("trusted", one)

	w.made = renewed
	w.want("renewed by the same authority", one)
	w.clock = w.clock.Add(settle)
	w.want("renewed by the same authority, later", renewed)

	w.made = two
	w.want("rotated, before the bundle says so", renewed)
	w.clock = w.clock.Add(10 * settle)
	w.want("rotated, and the bundle does not say so for long", renewed)
	w.bundle = slices.Concat(first.pem, second.pem)
	w.want("the bundle says so here, perhaps not everywhere", renewed)
	w.clock = w.clock.Add(settle - time.Second)
	w.want("the bundle is not old enough", renewed)
	w.made = three
	w.clock = w.clock.Add(time.Second)
	w.want("rotated again, which begins anew", renewed)
	w.made = two
	w.want("and back", renewed)
	w.clock = w.clock.Add(settle)
	w.want("the bundle is everywhere", two)
}

func TestTurn_DoesNotWaitWhereTheEarlierLeafIsWorthNothing(t *testing.T) {
	t.Parallel()
	first, second := newAuthority(t, time.Hour*24), newAuthority(t, time.Hour*24)
	one, two := first.leaf(t, time.Hour), second.leaf(t, 2*time.Hour)
	t.Run("The bundle was written anew", func(t *testing.T) {
		t.Parallel()
		w := newWatch(t)
		w.made, w.bundle = one, first.pem
		w.want("the first", one)
		w.made, w.bundle = two, second.pem
		w.want("the only one that is trusted", two)
	})
	t.Run("It expired", func(t *testing.T) {
		t.Parallel()
		w := newWatch(t)
		w.made, w.bundle = one, first.pem
		w.want("the first", one)
		w.made = two
		w.clock = start.Add(time.Hour)
		w.want("the one that is valid", two)
	})
}
