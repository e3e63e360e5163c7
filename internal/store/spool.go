package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// roomInterval is how many bytes a spool without a reservation writes between two looks at the free space.
const roomInterval = 8 << 20

var errSpoolEnded = errors.New("the spool was committed or discarded")

// spools is the folder of the files that fetches write.
type spools struct {
	dir  string
	room *room
	sync func(*os.File) error

	readOnly bool
	left     []digest.Digest // what an earlier process was writing and had begun to upload, where that is what it did
}

// openSpools empties the folder: nothing in it is of use to a new process.
func openSpools(dir string, o Options) (*spools, error) {
	s := &spools{dir: dir, readOnly: o.ReadOnly, room: &room{floor: roomFloor, allocate: allocate}, sync: (*os.File).Sync}
	if s.readOnly { // what is in it belongs to the folder's owner
		return s, nil
	}
	err := s.reset()
	if cannotWrite(err) {
		o.Log.Error(err, "spool not usable, nothing can be stored for now", "folder", dir)
		return s, nil
	}
	return s, err
}

func (s *spools) reset() error {
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return err
	}
	left, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range left {
		s.note(entry)
		if err := os.RemoveAll(filepath.Join(s.dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// note remembers of what is left over what may have been uploaded in part.
func (s *spools) note(entry os.DirEntry) {
	name, _, _ := strings.Cut(entry.Name(), ".")
	dgst, err := imageref.ParseDigest(strings.Replace(name, "-", ":", 1))
	if info, missing := entry.Info(); err == nil && missing == nil && info.Size() > wholeUpload {
		s.left = append(s.left, dgst)
	}
}

// create makes an empty file for dgst. Its mode is that of distribution's own files: another registry may read them.
func (s *spools) create(dgst digest.Digest) (*os.File, error) {
	if s.readOnly {
		return nil, ErrReadOnly
	}
	name := filepath.Join(s.dir, dgst.Algorithm().String()+"-"+dgst.Encoded()+"."+rand.Text())
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(s.dir, 0o777); err != nil {
			return nil, noRoom(err)
		}
		f, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	return f, noRoom(err)
}

// Spool is a local file into which one fetch writes. Readers open it by Open while it grows.
type Spool struct {
	store    *Store
	digest   digest.Digest
	size     int64 // < 0: not known
	path     string
	promised bool // whether the file's bytes are on the room's account
	placing  placement

	mu      sync.Mutex
	file    *os.File // nil when the spool has ended
	written int64
	held    int64 // bytes of it on the room's account of spools
}

// NewSpool creates a spool for a blob and reserves size bytes (< 0: unknown, nothing is reserved) on the disk: ErrNoRoom.
// The file's name begins with the digest: what is being written can be told from outside.
func (s *Store) NewSpool(dgst digest.Digest, size int64) (*Spool, error) {
	if _, err := imageref.ParseDigest(dgst.String()); err != nil {
		return nil, fmt.Errorf("creating a spool: %w", err)
	}
	file, err := s.spools.create(dgst)
	if err != nil {
		return nil, fmt.Errorf("creating a spool: %w", err)
	}
	promised, err := s.spools.room.reserve(file, size)
	if err != nil {
		_ = file.Close()
		_ = os.Remove(file.Name())
		return nil, fmt.Errorf("creating a spool for %s: %w", dgst, err)
	}
	return &Spool{
		store: s, digest: dgst, size: size, path: file.Name(), promised: promised, file: file,
		placing: s.writer.begin(file.Name(), blobPath(dgst)), held: max(size, 0),
	}, nil
}

// Write appends. On a disk that is full it returns ErrNoRoom.
func (sp *Spool) Write(p []byte) (int, error) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.file == nil {
		return 0, errSpoolEnded
	}
	if sp.size < 0 && sp.written/roomInterval != (sp.written+int64(len(p)))/roomInterval {
		if err := sp.store.spools.room.more(sp.file, roomInterval); err != nil {
			return 0, fmt.Errorf("writing a spool: %w", err)
		}
		sp.held += roomInterval
	}
	n, err := sp.file.Write(p)
	sp.advance(int64(n))
	if err != nil {
		return n, fmt.Errorf("writing a spool: %w", noRoom(err))
	}
	return n, nil
}

// advance counts n written bytes; those that were promised are on the disk now.
func (sp *Spool) advance(n int64) {
	if sp.promised {
		sp.store.spools.room.redeem(min(n, max(sp.size-sp.written, 0)))
	}
	sp.written += n
	sp.placing.grown(sp.written)
}

// Open opens the spool for reading, with an offset of its own. It works until Commit or Discard (then ErrNotFound); what
// is open stays readable.
func (sp *Spool) Open() (*os.File, error) {
	f, err := os.Open(sp.path)
	if errors.Is(err, os.ErrNotExist) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("opening a spool: %w", err)
	}
	return f, nil
}

// Commit makes what was written the stored blob, durably: synced, then moved or uploaded. The caller has verified it.
// After an error only Discard is left to do: a file whose sync failed once cannot be trusted to be on the disk.
func (sp *Spool) Commit(ctx context.Context) error {
	file, err := sp.end()
	if err != nil {
		return fmt.Errorf("committing %s: %w", sp.digest, err)
	}
	if err := errors.Join(sp.store.spools.sync(file), file.Close()); err != nil {
		return fmt.Errorf("committing %s: syncing: %w", sp.digest, noRoom(err))
	}
	defer sp.store.writing.lock(blobPath(sp.digest))()
	before, err := sp.store.beforeWrite(ctx)
	if err == nil {
		err = sp.placing.place(ctx)
	}
	if err != nil {
		return fmt.Errorf("committing %s: %w", sp.digest, err)
	}
	if err := sp.store.heed(ctx, before, blobPath(sp.digest)); err != nil {
		return fmt.Errorf("committing %s: %w", sp.digest, err)
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.leave()
	return nil
}

// end takes the file away from further writes.
func (sp *Spool) end() (*os.File, error) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	switch {
	case sp.file == nil:
		return nil, errSpoolEnded
	case sp.size >= 0 && sp.size != sp.written:
		return nil, fmt.Errorf("%d bytes were written, not %d", sp.written, sp.size)
	}
	file := sp.file
	sp.file = nil
	return file, nil
}

// Discard removes the spool. After Commit it does nothing.
func (sp *Spool) Discard() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.file != nil {
		sp.giveBack()
		_ = sp.file.Close()
		sp.file = nil
	}
	sp.placing.discard()
	sp.leave()
	// Gone already where Commit has moved it; still there where Commit failed.
	_ = os.Remove(sp.path)
}

// leave takes the spool off the room's account, once.
func (sp *Spool) leave() {
	sp.store.spools.room.leave(sp.held)
	sp.held = 0
}

// giveBack takes off the room's account what was promised and not written.
func (sp *Spool) giveBack() {
	if rest := sp.size - sp.written; sp.promised && rest > 0 {
		sp.store.spools.room.redeem(rest)
	}
}
