package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

const (
	document  = "grants" // of each repository, in the store
	secret    = "grants" // of the store: keys the fingerprints
	maxBook   = 16 << 10 // records in memory
	bookLocks = 64       // stripes of the locks that order the writes of records
)

// Store keeps documents. *store.Store is one.
type Store interface {
	Document(ctx context.Context, repo imageref.Repository, name string) ([]byte, error)
	PutDocument(ctx context.Context, repo imageref.Repository, name string, content []byte) error
	Repositories(ctx context.Context, fn func(imageref.Repository) error) error
	Secret(ctx context.Context, name string) ([]byte, error)
	RecordTTL() time.Duration
}

// Book is the grants of all repositories, in the store. It is safe for concurrent use.
//
// Replicas that share a store see what others write within store.RecordTTL. Each reads a record anew before it changes it; where two do so
// at the same moment, one grant may be lost, and is asked for again.
//
// Locks are taken in the order of locks, keyed, mu.
type Book struct {
	store   Store
	ttl     time.Duration // how long a record in memory is that in the store; 0: for ever
	now     func() time.Time
	log     logr.Logger
	records *lru.Cache[imageref.Repository, *Record]
	locks   [bookLocks]sync.Mutex // held while a record is read from the store, or changed
	seed    maphash.Seed

	keyed sync.Mutex
	key   []byte // nil: not read yet

	mu       sync.Mutex
	watchers map[int]func(imageref.Repository)
	watched  int // how many there were
}

// NewBook returns the grants that are kept in s.
func NewBook(s Store, log logr.Logger) *Book {
	b := &Book{store: s, ttl: s.RecordTTL(), now: time.Now, log: log, seed: maphash.MakeSeed(),
		watchers: map[int]func(imageref.Repository){}}
	b.records, _ = lru.New[imageref.Repository, *Record](maxBook) // errs for a size below one only
	return b
}

// Watch has fn called after a record may have changed, until stop is called. Who changed it waits for fn; nobody else does.
func (b *Book) Watch(fn func(imageref.Repository)) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watched++
	id := b.watched
	b.watchers[id] = fn
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, id)
	}
}

func (b *Book) changed(repo imageref.Repository) {
	b.mu.Lock()
	watchers := slices.Collect(maps.Values(b.watchers))
	b.mu.Unlock()
	for _, fn := range watchers {
		fn(repo)
	}
}

// Record returns what is granted of a repository. While the store cannot be read, it is what was read last.
func (b *Book) Record(ctx context.Context, repo imageref.Repository) (*Record, error) {
	if known := b.good(repo); known != nil {
		return known, nil
	}
	lock := b.lock(repo) // what is read now must not replace what is written meanwhile
	lock.Lock()
	defer lock.Unlock()
	if known := b.good(repo); known != nil {
		return known, nil
	}
	next, err := b.load(ctx, repo)
	if err == nil {
		b.records.Add(repo, next)
		return next, nil
	}
	if known := b.peek(repo); known != nil {
		return known, nil
	}
	return nil, err
}

func (b *Book) lock(repo imageref.Repository) *sync.Mutex {
	return &b.locks[maphash.String(b.seed, repo.String())%bookLocks]
}

// good returns the record in memory, if it may be taken for that in the store.
func (b *Book) good(repo imageref.Repository) *Record {
	known, ok := b.records.Get(repo)
	if !ok || b.ttl > 0 && b.now().Sub(known.read) >= b.ttl {
		return nil
	}
	return known
}

// goodUntil says how long a record may be taken for that in the store; the zero time: for ever.
func (b *Book) goodUntil(r *Record) time.Time {
	if b.ttl <= 0 {
		return time.Time{}
	}
	return r.read.Add(b.ttl)
}

// peek returns the record in memory; nil where there is none.
func (b *Book) peek(repo imageref.Repository) *Record {
	known, _ := b.records.Peek(repo)
	return known
}

// written is a record as it is stored.
type written struct {
	Key    string  `json:"key"` // tells which key made the fingerprints
	Grants []Grant `json:"grants"`
}

func (b *Book) load(ctx context.Context, repo imageref.Repository) (*Record, error) {
	key, err := b.readKey(ctx, false)
	if err != nil {
		return nil, err
	}
	r := &Record{key: key, read: b.now()}
	content, err := b.store.Document(ctx, repo, document)
	if errors.Is(err, store.ErrNotFound) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	r.stored = true
	var w written
	if err := json.Unmarshal(content, &w); err != nil {
		b.log.Error(err, "grants that cannot be read count as none", "repository", repo.String())
		return r, nil
	}
	if w.Key != keyID(key) { // the store has another one since, as after a restore
		if r.key, err = b.readKey(ctx, true); err != nil {
			return nil, err
		}
	}
	for _, g := range w.Grants {
		if !g.OfPods() || w.Key == keyID(r.key) { // what another key made nobody can show
			r = r.with(g)
		}
	}
	return r, nil
}

// readKey reads the key once, and again where it turned out to be another one.
func (b *Book) readKey(ctx context.Context, anew bool) ([]byte, error) {
	b.keyed.Lock() // one that is missing is made once
	defer b.keyed.Unlock()
	if b.key != nil && !anew {
		return b.key, nil
	}
	key, err := b.store.Secret(ctx, secret)
	if err == nil {
		b.key = key
	}
	return key, err
}

// share adds namespaces to a grant, if it is there still: it may have been revoked.
func (b *Book) share(ctx context.Context, repo imageref.Repository, id string, namespaces []string) {
	err := b.change(ctx, repo, func(r *Record) *Record {
		i := slices.IndexFunc(r.Grants, func(g Grant) bool { return g.ID == id })
		if i < 0 {
			return r
		}
		return r.with(Grant{ID: id, Namespaces: namespaces, GrantedAt: r.Grants[i].GrantedAt})
	})
	if err != nil {
		b.log.Error(err, "whose grant it is too is kept in memory alone", "repository", repo.String())
	}
}

// Add notes that the origin said yes. Where that cannot be written, it holds in memory: a disk that is full or read-only is no reason to
// refuse a pull.
func (b *Book) Add(ctx context.Context, repo imageref.Repository, g Grant) {
	err := b.change(ctx, repo, func(r *Record) *Record { return r.with(g) })
	if err != nil {
		b.log.Error(err, "a grant is kept in memory alone", "repository", repo.String())
	}
}

// change replaces a record by what fn makes of it, unless that is the same one, and says so to who watches.
func (b *Book) change(ctx context.Context, repo imageref.Repository, fn func(*Record) *Record) error {
	changed, err := b.replace(ctx, repo, fn)
	if changed {
		b.changed(repo)
	}
	return err
}

// replace is change without the watchers. Also with an error the record may have changed: in memory alone.
func (b *Book) replace(ctx context.Context, repo imageref.Repository, fn func(*Record) *Record) (changed bool, err error) {
	lock := b.lock(repo)
	lock.Lock()
	defer lock.Unlock()
	before, err := b.latest(ctx, repo)
	if err != nil {
		return false, err
	}
	next := fn(before)
	if next == before {
		return false, nil
	}
	next.stored = true
	b.records.Add(repo, next)
	content, err := json.Marshal(written{Key: keyID(next.key), Grants: next.Grants})
	if err == nil {
		err = b.store.PutDocument(ctx, repo, document, content)
	}
	if err != nil {
		return true, fmt.Errorf("writing the grants of %s: %w", repo, err)
	}
	return true, nil
}

// latest returns the record to change. What could not be written is in memory alone.
func (b *Book) latest(ctx context.Context, repo imageref.Repository) (*Record, error) {
	known := b.peek(repo)
	if known != nil && b.ttl <= 0 {
		return known, nil
	}
	r, err := b.load(ctx, repo)
	if err != nil && known != nil {
		return known, nil
	}
	return r, err
}
