package main

import (
	"bytes"
	"maps"
	"sync"
	"syscall"
	"time"
)

// inode is a file or a folder, twice: as processes see it and as it was synced.
type inode struct {
	number  uint64
	mode    uint32
	changed time.Time

	content []byte // of a file
	synced  []byte

	entries map[string]*inode // of a folder; nil for a file
	kept    map[string]*inode
}

func (n *inode) isDir() bool { return n.entries != nil }

// sync takes what processes see of n alone to the platter.
func (n *inode) sync() {
	n.synced = bytes.Clone(n.content)
	n.kept = maps.Clone(n.entries)
}

// disk is a tree of inodes with a switch for its power.
type disk struct {
	mu     sync.Mutex
	inodes map[uint64]*inode
	last   uint64
	until  int           // changes before the power goes out; 0: it stays on
	out    chan struct{} // closed when the power is out
}

const rootNumber = 1

func newDisk() *disk {
	d := &disk{inodes: map[uint64]*inode{}, out: make(chan struct{})}
	root := d.add(syscall.S_IFDIR | 0o755)
	root.sync()
	return d
}

// add makes an inode that no folder has yet. The lock is held, or nobody else knows d.
func (d *disk) add(mode uint32) *inode {
	d.last++
	n := &inode{number: d.last, mode: mode, changed: time.Now()}
	if mode&syscall.S_IFMT == syscall.S_IFDIR {
		n.entries = map[string]*inode{}
	}
	d.inodes[n.number] = n
	return n
}

// arm lets the power go out before the nth change from now.
func (d *disk) arm(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until = n
}

// see returns an inode to read from, or EIO where the power is out. The lock is held.
func (d *disk) see(number uint64) (*inode, syscall.Errno) {
	select {
	case <-d.out:
		return nil, syscall.EIO
	default:
	}
	n := d.inodes[number]
	if n == nil {
		return nil, syscall.ENOENT
	}
	return n, 0
}

// change is see for what alters the disk: such calls are counted.
func (d *disk) change(number uint64) (*inode, syscall.Errno) {
	if d.until > 0 {
		if d.until--; d.until == 0 {
			close(d.out)
		}
	}
	return d.see(number)
}

func (n *inode) write(data []byte, offset int64) {
	if end := int(offset) + len(data); end > len(n.content) {
		n.resize(end)
	}
	copy(n.content[offset:], data)
	n.changed = time.Now()
}

func (n *inode) resize(size int) {
	if size <= len(n.content) {
		n.content = n.content[:size:size]
	} else {
		n.content = append(n.content, make([]byte, size-len(n.content))...)
	}
	n.changed = time.Now()
}
