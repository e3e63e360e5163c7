package main

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

// block is what a disk writes whole.
const block = 4 << 10

// restorer makes the disk that is found after the power came back.
type restorer struct {
	to   *disk
	done map[*inode]*inode // one inode may lie under two names
	luck *rand.Rand        // nil: nothing that was not synced survives
}

// restore returns what is left of d. The power is out, so that d changes no more.
func (d *disk) restore(luck *rand.Rand) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := &restorer{to: &disk{inodes: map[uint64]*inode{}, out: make(chan struct{})}, done: map[*inode]*inode{}, luck: luck}
	r.inode(d.inodes[rootNumber])
	return r.to
}

func (r *restorer) inode(was *inode) *inode {
	if n := r.done[was]; n != nil {
		return n
	}
	n := r.to.add(was.mode)
	r.done[was] = n
	n.changed = was.changed
	if was.isDir() {
		for name, child := range r.entries(was) {
			n.entries[name] = r.inode(child)
		}
	} else {
		n.content = r.content(was)
	}
	n.sync()
	return n
}

// entries chooses for each name what it stands for: what was synced or, with luck, what was seen.
func (r *restorer) entries(was *inode) map[string]*inode {
	if r.luck == nil {
		return was.kept
	}
	both := maps.Clone(was.entries)
	maps.Copy(both, was.kept)
	left := map[string]*inode{}
	for _, name := range slices.Sorted(maps.Keys(both)) { // sorted, so that a seed tells what happens
		from := was.kept
		if r.luck.IntN(2) == 0 {
			from = was.entries
		}
		if child := from[name]; child != nil {
			left[name] = child
		}
	}
	return left
}

// content chooses what is left of a file: what was synced, all that was written, or the written length with blocks of either.
func (r *restorer) content(was *inode) []byte {
	if r.luck == nil || bytes.Equal(was.content, was.synced) {
		return was.synced
	}
	switch r.luck.IntN(3) {
	case 0:
		return was.synced
	case 1:
		return was.content
	}
	torn := make([]byte, len(was.content))
	copy(torn, was.synced)
	for from := 0; from < len(torn); from += block {
		if to := min(from+block, len(torn)); r.luck.IntN(2) == 0 {
			copy(torn[from:to], was.content[from:to])
		}
	}
	return torn
}
