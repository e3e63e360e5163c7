package store

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// key stands for a path of the store: half of its hash. Two paths with one key could only cost the sweep a blob that it
// would have deleted, or a grace period; neither makes a wrong answer.
type key [16]byte

func keyOf(path string) key {
	sum := sha256.Sum256([]byte(path))
	return key(sum[:len(key{})])
}

func (k key) compare(other key) int { return bytes.Compare(k[:], other[:]) }

// keySet is a set of paths in 16 bytes each, and as many again while it grows.
type keySet struct {
	sorted []key
	added  []key
}

// unsortedKeys bounds what is added to a small set before it is sorted in.
const unsortedKeys = 64 << 10

func (s *keySet) add(path string) {
	s.added = append(s.added, keyOf(path))
	if len(s.added) > max(unsortedKeys, len(s.sorted)/2) {
		s.settle()
	}
}

// settle sorts in what was added.
func (s *keySet) settle() {
	if len(s.added) == 0 {
		return
	}
	slices.SortFunc(s.added, key.compare)
	s.sorted = mergeKeys(s.sorted, slices.Compact(s.added))
	s.added = nil
}

// has says whether a path was added before the last settle.
func (s *keySet) has(path string) bool {
	_, ok := slices.BinarySearchFunc(s.sorted, keyOf(path), key.compare)
	return ok
}

// mergeKeys merges two sorted lists. Where one is empty, the other is the result.
func mergeKeys(a, b []key) []key {
	if len(a) == 0 {
		return slices.Clip(b)
	}
	out := make([]key, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		order := a[0].compare(b[0])
		if order <= 0 {
			out = append(out, a[0])
			a = a[1:]
		} else {
			out = append(out, b[0])
		}
		if order >= 0 {
			b = b[1:]
		}
	}
	return append(append(out, a...), b...)
}
