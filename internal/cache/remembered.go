package cache

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const remembered = 10_000 // failures held in memory, of each kind

// failures remembers failures until a time of their own. It forgets the oldest where there are too many.
type failures[K comparable] struct {
	now     func() time.Time
	entries *lru.Cache[K, failure]
}

type failure struct {
	err   error
	until time.Time
}

func newFailures[K comparable](now func() time.Time) failures[K] {
	entries, _ := lru.New[K, failure](remembered) // errs for a size below one only
	return failures[K]{now: now, entries: entries}
}

// get returns the failure that still holds for k, or nil.
func (f failures[K]) get(k K) error {
	e, ok := f.entries.Get(k)
	if !ok || !f.now().Before(e.until) {
		return nil
	}
	return e.err
}

func (f failures[K]) add(k K, err error, hold time.Duration) {
	f.entries.Add(k, failure{err: err, until: f.now().Add(hold)})
}

func (f failures[K]) forget(k K) { f.entries.Remove(k) }
