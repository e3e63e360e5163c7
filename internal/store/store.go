// Package store is Larder's own copy: blobs, manifests, links and tag records on one of distribution's storage drivers,
// in distribution's on-disk layout, so that any registry reads what was written here. It never talks to an origin and
// decides nothing about freshness.
//
// The order of writes is what makes a power cut harmless (rule P1): a blob or manifest is durable before a link names it,
// distribution's link before Larder's own, and a tag record comes last. On the local file system durable means: the file
// was synced before it was renamed to its place, then its folder was synced, and every folder that holds it before that.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/go-logr/logr"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrNotFound is returned for what is not stored, and for what turned out to be damaged (it is removed then).
var ErrNotFound = errors.New("not in the store")

// ErrNoRoom is returned where the disk has no room for a spool.
var ErrNoRoom = errors.New("no room on the disk")

// ErrShared is returned where something would delete from a store into which other processes may write.
var ErrShared = errors.New("other processes may write to this object storage")

// ErrReadOnly is returned by a Store that was opened to read alone, for what would write.
var ErrReadOnly = errors.New("the store was opened to be read")

// Options configure a Store.
type Options struct {
	Data       string         // local folder: the spool, the lock and, with the filesystem driver, by default the store
	Driver     string         // a name that distribution's driver factory knows; empty: filesystem
	Parameters map[string]any // the driver's own keys
	ReadOnly   bool           // for a command beside the owner of the folder: nothing is written, nor removed where it is damaged
	Exclusive  bool           // no other process writes to this object storage; a folder, which is locked, needs no word
	MaxSpool   int64          // bytes that fetches may hold in the spool at a time where the store is object storage; 0: what the disk has
	Log        logr.Logger
	OnDamage   func(digest.Digest) // called for each blob found truncated; may be nil
}

// Store is safe for concurrent use by one process (see Lock).
type Store struct {
	driver   storagedriver.StorageDriver
	writer   writer
	spools   *spools
	links    *memo[linkKey, ocispec.Descriptor]
	tagged   *memo[string, digest.Digest] // what distribution's links say, by the path of a tag's record
	remote   bool                         // on object storage
	shared   bool                         // other processes may write too
	intact   *lru.Cache[digest.Digest, fileState]
	writing  keyed // by path: held while a blob is put in its place or removed as damaged, and while links are written
	gate     gate  // before writing
	doom     doom
	sweeping sync.Mutex // held by the one sweep that runs
	log      logr.Logger
	onDamage func(digest.Digest)
}

// Open opens or creates the store and removes what an earlier process left in the spool. A disk that is full or read-only
// does not keep it from opening: what is stored can still be served.
func Open(ctx context.Context, o Options) (*Store, error) {
	b, err := openBackend(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	return newStore(b, o)
}

func newStore(b backend, o Options) (*Store, error) {
	_, local := b.writer.(*disk)
	if o.ReadOnly {
		b.writer = readOnly{}
	}
	spools, err := openSpools(b.spoolDir, o)
	if err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	intact, err := lru.New[digest.Digest, fileState](intactEntries)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	onDamage := o.OnDamage
	if onDamage == nil {
		onDamage = func(digest.Digest) {}
	}
	if !local { // what is uploaded need not survive here
		spools.sync = func(*os.File) error { return nil }
		spools.room.limit = o.MaxSpool
	}
	if objects, ok := b.writer.(*objects); ok {
		objects.left = spools.left
	}
	return &Store{
		driver: b.driver, writer: b.writer, spools: spools, links: newMemo[linkKey, ocispec.Descriptor](linkEntries, b.linkTTL),
		tagged: newMemo[string, digest.Digest](linkEntries, b.linkTTL),
		remote: !local, shared: !local && !o.Exclusive && b.driver.Name() != inmemoryDriver,
		doom:   doom{ttl: b.linkTTL, now: time.Now},
		intact: intact, log: o.Log, onDamage: onDamage,
	}, nil
}

// Shared says whether other processes may write to the store: it is object storage that this one was not said to have for itself.
func (s *Store) Shared() bool { return s.shared }

// RecordTTL is how long what was read may be taken for what is stored: other replicas write to a shared store too. In one that has one
// owner, such as a disk, it is 0: for ever.
func (s *Store) RecordTTL() time.Duration {
	if !s.shared {
		return 0
	}
	return sharedLinkTTL
}
