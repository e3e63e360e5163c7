package policy

import "sync/atomic"

// Current holds the Set that is in force. It is safe for concurrent use; its zero value holds the zero Set.
type Current struct {
	set        atomic.Pointer[Set]
	generation atomic.Uint64
}

var emptySet = &Set{}

// Load returns the Set in force.
func (c *Current) Load() *Set {
	if set := c.set.Load(); set != nil {
		return set
	}
	return emptySet
}

// Store puts a Set in force.
func (c *Current) Store(set *Set) {
	c.set.Store(set)
	c.generation.Add(1) // after the Set: who sees the new generation sees the new Set
}

// Generation changes after each Store. Who reads it before Load may keep what the Set answers for as long as it stays the same.
func (c *Current) Generation() uint64 { return c.generation.Load() }
