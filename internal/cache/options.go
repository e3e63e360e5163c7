package cache

import (
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
)

// Policy is what holds for one tag.
type Policy struct {
	Check    bool          // whether the tag is ever checked (T2, T4)
	Interval time.Duration // how old an answered check may be; 0: check at every request (T3)
	Periodic bool          // whether checks also happen without a request (T8)
	MaxStale time.Duration // how long a copy may be served unconfirmed; 0: for ever (T10)

	HistoryLimit int  // how many revisions of the tag are kept; 0: five
	Immutable    bool // once cached, the tag never moves
}

// Policies tells what its user wants of a tag. Its methods are called on the hot path: they must be quick and safe for
// concurrent use.
type Policies interface {
	// Policy returns what holds for a tag.
	Policy(repo imageref.Repository, tag string) Policy
	// Listing returns how old the lists of a repository (tags, referrers) may be (D1).
	Listing(repo imageref.Repository) time.Duration
	// Named says whether an object names the tag, so that it never expires unused (M5).
	Named(repo imageref.Repository, tag string) bool
	// Periodic lists the repositories that have a periodic policy.
	Periodic() []imageref.Repository
	// Generation changes whenever an answer of the other methods may have changed.
	Generation() uint64
}

// Options configure a Cache.
type Options struct {
	Store        *store.Store
	Origin       *upstream.Client
	Policies     Policies
	CheckTimeout time.Duration    // how long a request waits for a check (T6); 0: 2 s
	ExpiryDelay  time.Duration    // how long a tag that no object names is kept after its last pull (M5); 0: for ever
	SweepGrace   time.Duration    // how long something has to be unreachable before it is deleted (M4)
	Now          func() time.Time // nil: time.Now
	// OnTag, if set, is called after what Image says of a tag may have changed: it was first stored, a check was answered or failed, it
	// moved, its revision was found complete, or it was untagged. It is called often, from many goroutines, without a lock being held,
	// and must not block.
	OnTag func(repo imageref.Repository, tag string)
	// Keeps, if set, says that an object names a manifest by its digest, or that it is in use, so that no sweep deletes it (M4) and no
	// history forgets it.
	Keeps func(repo imageref.Repository, dgst digest.Digest) bool
	// Owns, if set, says whether this process is the one of several on a shared store that does for a repository what nobody asks for:
	// periodic checks (T8), and the expiry of unused tags (M5).
	Owns    func(repo imageref.Repository) bool
	Metrics *metrics.Metrics
	Log     logr.Logger

	// Spare, if set, says of a tag that an object names that nobody uses it, so that it may be evicted as one that no object names.
	Spare func(repo imageref.Repository, tag string) bool
	// OnEvict, if set, is called just before an image is removed because the store is larger than its limit: what it notes is not lost
	// where the process ends there. Where the image cannot be removed, the next Evict calls it again.
	OnEvict func(ref imageref.Reference, image Image)
	// OnCrowded, if set, is called by each Evict that leaves the store larger than its limit since nothing more may go.
	OnCrowded func(used int64, limit Limit)
}
