package main

import (
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	cacheTime = time.Second // the kernel sees every change: it makes them
	freeBytes = 8 << 30     // what the disk says is free
)

// filesystem answers the kernel from a disk.
type filesystem struct {
	fuse.RawFileSystem
	disk *disk
}

func newFilesystem(d *disk) *filesystem {
	return &filesystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), disk: d}
}

func (f *filesystem) String() string { return "powercut" }

// reading calls do with an inode.
func (f *filesystem) reading(number uint64, do func(*inode) syscall.Errno) fuse.Status {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, errno := f.disk.see(number)
	if errno == 0 {
		errno = do(n)
	}
	return fuse.Status(errno)
}

// changing is reading for what alters the disk.
func (f *filesystem) changing(number uint64, do func(*inode) syscall.Errno) fuse.Status {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, errno := f.disk.change(number)
	if errno == 0 {
		errno = do(n)
	}
	return fuse.Status(errno)
}

func (f *filesystem) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return f.reading(header.NodeId, func(dir *inode) syscall.Errno {
		child := dir.entries[name]
		if child == nil {
			return syscall.ENOENT
		}
		fillEntry(out, child)
		return 0
	})
}

func (f *filesystem) GetAttr(_ <-chan struct{}, input *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.reading(input.NodeId, func(n *inode) syscall.Errno {
		fillAttr(&out.Attr, n)
		out.SetTimeout(cacheTime)
		return 0
	})
}

func (f *filesystem) SetAttr(_ <-chan struct{}, input *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.changing(input.NodeId, func(n *inode) syscall.Errno {
		if size, ok := input.GetSize(); ok {
			n.resize(int(size))
		}
		if mode, ok := input.GetMode(); ok {
			n.mode = n.mode&syscall.S_IFMT | mode&^syscall.S_IFMT
		}
		if changed, ok := input.GetMTime(); ok {
			n.changed = changed
		}
		fillAttr(&out.Attr, n)
		out.SetTimeout(cacheTime)
		return 0
	})
}

func (f *filesystem) Mkdir(_ <-chan struct{}, input *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return f.changing(input.NodeId, func(dir *inode) syscall.Errno {
		return f.make(dir, name, syscall.S_IFDIR|input.Mode, out)
	})
}

func (f *filesystem) Create(_ <-chan struct{}, input *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return f.changing(input.NodeId, func(dir *inode) syscall.Errno {
		return f.make(dir, name, syscall.S_IFREG|input.Mode, &out.EntryOut)
	})
}

// make adds an entry. The lock is held.
func (f *filesystem) make(dir *inode, name string, mode uint32, out *fuse.EntryOut) syscall.Errno {
	if dir.entries[name] != nil {
		return syscall.EEXIST
	}
	child := f.disk.add(mode)
	dir.entries[name] = child
	fillEntry(out, child)
	return 0
}

func (f *filesystem) Unlink(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return f.changing(header.NodeId, func(dir *inode) syscall.Errno {
		if dir.entries[name] == nil {
			return syscall.ENOENT
		}
		delete(dir.entries, name)
		return 0
	})
}

func (f *filesystem) Rmdir(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return f.changing(header.NodeId, func(dir *inode) syscall.Errno {
		switch child := dir.entries[name]; {
		case child == nil:
			return syscall.ENOENT
		case len(child.entries) > 0:
			return syscall.ENOTEMPTY
		}
		delete(dir.entries, name)
		return 0
	})
}

func (f *filesystem) Rename(_ <-chan struct{}, input *fuse.RenameIn, from, to string) fuse.Status {
	if input.Flags != 0 {
		return fuse.EINVAL
	}
	return f.changing(input.NodeId, func(dir *inode) syscall.Errno {
		target, moved := f.disk.inodes[input.Newdir], dir.entries[from]
		if target == nil || moved == nil {
			return syscall.ENOENT
		}
		if there := target.entries[to]; there != nil && len(there.entries) > 0 {
			return syscall.ENOTEMPTY
		}
		delete(dir.entries, from)
		target.entries[to] = moved
		return 0
	})
}

func (f *filesystem) Open(_ <-chan struct{}, input *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	if input.Flags&syscall.O_TRUNC == 0 {
		return f.reading(input.NodeId, func(*inode) syscall.Errno { return 0 })
	}
	return f.changing(input.NodeId, func(n *inode) syscall.Errno {
		n.resize(0)
		return 0
	})
}

func (f *filesystem) Read(_ <-chan struct{}, input *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	var read int
	status := f.reading(input.NodeId, func(n *inode) syscall.Errno {
		if input.Offset < uint64(len(n.content)) {
			read = copy(buf, n.content[input.Offset:])
		}
		return 0
	})
	return fuse.ReadResultData(buf[:read]), status
}

func (f *filesystem) Write(_ <-chan struct{}, input *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	status := f.changing(input.NodeId, func(n *inode) syscall.Errno {
		n.write(data, int64(input.Offset))
		return 0
	})
	return uint32(len(data)), status
}

func (f *filesystem) Fallocate(_ <-chan struct{}, input *fuse.FallocateIn) fuse.Status {
	return f.changing(input.NodeId, func(*inode) syscall.Errno { return 0 })
}

func (f *filesystem) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (f *filesystem) Fsync(_ <-chan struct{}, input *fuse.FsyncIn) fuse.Status {
	return f.changing(input.NodeId, func(n *inode) syscall.Errno {
		n.sync()
		return 0
	})
}

func (f *filesystem) FsyncDir(cancel <-chan struct{}, input *fuse.FsyncIn) fuse.Status {
	return f.Fsync(cancel, input)
}

func (f *filesystem) OpenDir(_ <-chan struct{}, input *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	return f.reading(input.NodeId, func(*inode) syscall.Errno { return 0 })
}

func (f *filesystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	*out = fuse.StatfsOut{Bsize: block, Frsize: block, NameLen: 255,
		Blocks: freeBytes / block, Bfree: freeBytes / block, Bavail: freeBytes / block}
	return fuse.OK
}

// ReadDir gives each entry its inode's number as its offset: entries that go meanwhile move no other.
func (f *filesystem) ReadDir(_ <-chan struct{}, input *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.reading(input.NodeId, func(dir *inode) syscall.Errno {
		names := slices.SortedFunc(maps.Keys(dir.entries), func(a, b string) int {
			return int(int64(dir.entries[a].number) - int64(dir.entries[b].number))
		})
		for _, name := range names {
			child := dir.entries[name]
			if child.number <= input.Offset {
				continue
			}
			if !out.AddDirEntry(fuse.DirEntry{Name: name, Mode: child.mode, Ino: child.number, Off: child.number}) {
				break
			}
		}
		return 0
	})
}

func fillEntry(out *fuse.EntryOut, n *inode) {
	out.NodeId = n.number
	fillAttr(&out.Attr, n)
	out.SetEntryTimeout(cacheTime)
	out.SetAttrTimeout(cacheTime)
}

func fillAttr(out *fuse.Attr, n *inode) {
	out.Ino, out.Mode, out.Nlink = n.number, n.mode, 1
	out.Size, out.Blksize = uint64(len(n.content)), block
	out.Blocks = (out.Size + 511) / 512
	out.SetTimes(&n.changed, &n.changed, &n.changed)
}
