package owner

import (
	"time"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
)

// policies says what the objects in force want, in the cache's words.
type policies struct {
	current *policy.Current
	keep    func(repo imageref.Repository, tag string) bool // may be nil
}

func (p policies) Policy(repo imageref.Repository, tag string) cache.Policy {
	return cache.Policy(p.current.Load().Decide(repo, tag))
}

func (p policies) Listing(repo imageref.Repository) time.Duration {
	return p.current.Load().Listing(repo)
}

func (p policies) Named(repo imageref.Repository, tag string) bool {
	return p.current.Load().Named(repo, tag) || p.keep != nil && p.keep(repo, tag)
}

func (p policies) Periodic() []imageref.Repository { return p.current.Load().Periodic() }

func (p policies) Generation() uint64 { return p.current.Generation() }
