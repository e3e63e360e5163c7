package certificate

import (
	"crypto/tls"
	"sync"
	"time"
)

// settle is how long API servers have to learn of a bundle once Larder did.
const settle = 30 * time.Second

// turn says which of two certificates is served while one replaces the other: the earlier one until the API servers surely trust the new
// one. It is safe for concurrent use.
type turn struct {
	newest  func() (*tls.Certificate, error)
	trusted func(*tls.Certificate) error // by the bundle
	now     func() time.Time
	settle  time.Duration

	mu      sync.Mutex
	serving *tls.Certificate
	next    *tls.Certificate
	since   time.Time // when next was first seen to be trusted; zero: it was not
}

// certificate returns what is served now.
func (t *turn) certificate() (*tls.Certificate, error) {
	newest, err := t.newest()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.serving == nil {
		t.serving = newest
	}
	if newest != t.serving && t.due(newest) {
		t.serving, t.next = newest, nil
	}
	return t.serving, nil
}

// due says whether it is the new certificate's turn.
func (t *turn) due(newest *tls.Certificate) bool {
	now := t.now()
	if newest != t.next {
		t.next, t.since = newest, time.Time{}
	}
	switch trusted := t.trusted(newest) == nil; {
	case !now.Before(t.serving.Leaf.NotAfter):
		return true
	case !trusted:
		t.since = time.Time{}
		return false
	case t.trusted(t.serving) != nil:
		return true
	case t.since.IsZero():
		t.since = now
		return false
	default:
		return now.Sub(t.since) >= t.settle
	}
}
