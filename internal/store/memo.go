package store

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// memo remembers what was read for a while, in bounded memory. What this process writes replaces it at once.
type memo[K comparable, V any] struct {
	ttl time.Duration
	now func() time.Time

	mu     sync.Mutex
	lru    *simplelru.LRU[K, memoized[V]]
	writes uint64
}

type memoized[V any] struct {
	value V
	until time.Time
}

func newMemo[K comparable, V any](entries int, ttl time.Duration) *memo[K, V] {
	cache, err := simplelru.NewLRU[K, memoized[V]](entries, nil)
	if err != nil {
		panic(err) // entries is a positive constant
	}
	return &memo[K, V]{ttl: ttl, now: time.Now, lru: cache}
}

// get returns what is remembered; where nothing is, the mark to give to fill.
func (m *memo[K, V]) get(key K) (value V, mark uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	entry, ok := m.lru.Get(key)
	if !ok || m.now().After(entry.until) {
		return value, m.writes, false
	}
	return entry.value, m.writes, true
}

// fill remembers what was read, unless something was written meanwhile: the value may be older than that.
func (m *memo[K, V]) fill(key K, value V, mark uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writes == mark {
		m.lru.Add(key, memoized[V]{value, m.now().Add(m.ttl)})
	}
}

// wrote remembers what was written.
func (m *memo[K, V]) wrote(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	m.lru.Add(key, memoized[V]{value, m.now().Add(m.ttl)})
}

// forget is wrote for what was removed.
func (m *memo[K, V]) forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	m.lru.Remove(key)
}
