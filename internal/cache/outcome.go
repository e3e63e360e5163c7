package cache

import (
	"time"

	"github.com/larder-dev/larder/internal/store"
)

// Outcome says how an answer came about, in the terms of RFC 9211.
type Outcome struct {
	Kind   Kind
	TTL    time.Duration // with Hit: how long until the next check is due; < 0: never
	Stored bool          // with Miss: whether the answer is (being) stored
	Why    string        // with Stale: why the copy could not be confirmed, "timeout", "429", "incomplete" ...
	Held   string        // with Hit and Revalidated: why a tag is not where its origin has it, HeldPinned or HeldImmutable; empty: it follows that
}

// Kind is the way in which an answer came about.
type Kind int

// The kinds, with the Cache-Status that tells them.
const (
	None        Kind = iota // no cache status: the request was refused before the cache was asked
	Hit                     // larder; hit; ttl=N (no ttl for what is never checked)
	Miss                    // larder; fwd=uri-miss; stored
	Collapsed               // larder; fwd=uri-miss; collapsed: joined another request's fetch
	Revalidated             // larder; fwd=stale; fwd-status=200: a check said that the copy is current, or brought the new one
	Stale                   // larder; hit; detail=stale-<why>
)

// What holds a tag: the detail of its Cache-Status.
const (
	HeldPinned    = "pinned"    // somebody pinned it, perhaps to what its origin has too
	HeldImmutable = "immutable" // it is immutable, and its origin has another revision
)

// heldBy says what holds a tag.
func heldBy(rec *store.TagRecord) string {
	switch {
	case rec.Pin.By != "":
		return HeldPinned
	case rec.Upstream != "":
		return HeldImmutable
	}
	return ""
}

// never is the outcome of what is stored and not checked again (T2, T7).
var never = Outcome{Kind: Hit, TTL: -1}

// missed is the outcome of what was not stored; joined tells the requests that did not start the transfer.
func missed(joined, stored bool) Outcome {
	if joined {
		return Outcome{Kind: Collapsed}
	}
	return Outcome{Kind: Miss, Stored: stored}
}
