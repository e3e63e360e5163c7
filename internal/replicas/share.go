package replicas

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/go-logr/logr"
)

// Share is one replica's part of what the registry does without being asked: the repositories that it owns. While two replicas disagree
// about who there is, both may own a repository, or none.
type Share struct {
	self       string
	members    *Members
	known      atomic.Pointer[[]string] // with self; nil: DNS was not asked yet
	generation atomic.Uint64
}

// NewShare returns the share of the replica at self, an ip:port, among those behind targets. Self is one of them, whether or not DNS
// has it yet. It owns nothing until Run has looked.
func NewShare(self string, targets []string, lookup LookupHost, log logr.Logger) *Share {
	s := &Share{self: self}
	s.members = NewMembers(targets, lookup, s.changed, log)
	return s
}

// Run follows DNS until ctx ends.
func (s *Share) Run(ctx context.Context) { s.members.Run(ctx) }

// Owns says whether a repository, by its full name, is this replica's.
func (s *Share) Owns(repository string) bool {
	known := s.known.Load()
	return known != nil && Owner(repository, *known) == s.self
}

// Generation changes whenever an answer of Owns may have changed.
func (s *Share) Generation() uint64 { return s.generation.Load() }

func (s *Share) changed(addresses []string) {
	with := slices.Clone(addresses)
	if at, found := slices.BinarySearch(with, s.self); !found {
		with = slices.Insert(with, at, s.self)
	}
	if before := s.known.Load(); before != nil && slices.Equal(*before, with) {
		return
	}
	s.known.Store(&with)
	s.generation.Add(1)
}
