package owner

import (
	"time"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/opencontainers/go-digest"
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

// keeps says of a manifest whether an object names it by its digest, or it must be kept otherwise.
func (o Options) keeps(repo imageref.Repository, dgst digest.Digest) bool {
	return o.Policies.Load().NamedDigest(repo, dgst) || o.KeepDigest != nil && o.KeepDigest(repo, dgst)
}

// sources are the repositories that are asked for one.
func (o Options) sources(repo imageref.Repository) []imageref.Repository {
	return o.Policies.Load().Origins(repo)
}

// spare says of a tag that an object names whether nobody uses it.
func (o Options) spare(repo imageref.Repository, tag string) bool {
	return o.Policies.Load().Unused(repo, tag) && (o.Keep == nil || !o.Keep(repo, tag))
}

func (p policies) Periodic() []imageref.Repository { return p.current.Load().Periodic() }

func (p policies) Generation() uint64 { return p.current.Generation() }
