package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// noSpool is a disk without room.
func noSpool(digest.Digest, int64) (spool, error) {
	return nil, fmt.Errorf("creating a spool: %w", store.ErrNoRoom)
}

// fullSpool is a disk that fills up after some bytes.
type fullSpool struct {
	spool
	room int
}

func (s *fullSpool) Write(p []byte) (int, error) {
	if s.room < len(p) {
		n, _ := s.spool.Write(p[:s.room])
		s.room = 0
		return n, fmt.Errorf("writing: %w", syscall.ENOSPC)
	}
	s.room -= len(p)
	return s.spool.Write(p)
}

func TestBlob_B7_NoRoomStreamsThrough(t *testing.T) {
	t.Parallel()
	const size = 300 << 10
	for _, tc := range []struct {
		name    string
		script  []answer
		unsized bool
		rng     Range
		from    int
		to      int
	}{
		{"The whole", []answer{{}}, false, Range{}, 0, size},
		{"The whole of unknown size", []answer{{}}, true, Range{}, 0, size},
		{"The whole without a length", []answer{{chunked: true}}, true, Range{}, 0, size},
		{"The whole across a broken connection", []answer{{upTo: 1000}, {}}, false, Range{}, 0, size},
		{"A range", []answer{{}}, false, Range{Partial: true, Start: 1000, End: 2000}, 1000, 2000},
		{"A range from an origin without ranges", []answer{{ignoreRange: true}}, false, Range{Partial: true, Start: 1000, End: 2000}, 1000, 2000},
		{"A range across a broken connection", []answer{{upTo: 10}, {}}, false, Range{Partial: true, Start: 1000, End: 2000}, 1000, 2000},
		{"A suffix of unknown size", []answer{{}}, true, Range{Partial: true, Suffix: 10}, size - 10, size},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newOrigin(t, content(size, 40), tc.script...))
			r.newSpool = noSpool
			desc := r.desc()
			if tc.unsized {
				desc = r.unsized()
			}
			rd := r.open(t, t.Context(), desc, tc.rng)
			s, done := run(rd)
			if err := ended(t, done); err != nil || !bytes.Equal(s.bytes(), r.origin.blob[tc.from:tc.to]) {
				t.Errorf("the reader got %d bytes, %v", len(s.bytes()), err)
			}
			if rd.How != PassThrough || rd.Offset != int64(tc.from) || rd.Length >= 0 && rd.Length != int64(tc.to-tc.from) {
				t.Errorf("the reader is %+v", rd)
			}
			r.wantNothingStored(t)
			if n := value(t, r.metrics.PassThrough.WithLabelValues(passNoRoom)); n != 1 {
				t.Errorf("%v answers were counted, want 1", n)
			}
		})
	}
}

// unreadable is a spool on a disk that takes bytes and does not give them back.
type unreadable struct{ spool }

func (unreadable) Open() (*os.File, error) { return nil, fmt.Errorf("opening: %w", syscall.EIO) }

func TestBlob_B7_AnUnreadableSpoolStreamsThrough(t *testing.T) {
	t.Parallel()
	rest := make(chan struct{})
	r := newRig(t, newOrigin(t, content(1000, 45), answer{upTo: 100, restAt: rest}, answer{}))
	wrapSpool(r, func(s spool) spool { return unreadable{s} })
	rd := r.open(t, t.Context(), r.desc(), Range{})
	s, done := run(rd)
	if err := ended(t, done); err != nil || !bytes.Equal(s.bytes(), r.origin.blob) || rd.How != PassThrough {
		t.Errorf("the reader got %d bytes by %v, %v", len(s.bytes()), rd.How, err)
	}
	close(rest)
	r.wantStored(t, app)
}

func TestBlob_B7_NoRoomStillTellsTheOriginsErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(1000, 41), answer{status: 404}))
	r.newSpool = noSpool
	_, err := r.Open(t.Context(), app, r.desc(), Range{})
	var up *upstream.Error
	if !errors.As(err, &up) || up.Reason != upstream.NotFound {
		t.Errorf("Open returned %v, want %s", err, upstream.NotFound)
	}
}

func TestBlob_B7_DiskFillsUpInTheMiddle(t *testing.T) {
	t.Parallel()
	const size, room = 1 << 20, 400 << 10
	blob := content(size, 42)
	for _, tc := range []struct {
		name  string
		then  answer // what the readers' own requests are answered with
		rng   Range
		want  []byte
		fails bool
	}{
		{"The whole", answer{}, Range{}, blob, false},
		{"The whole, without ranges", answer{ignoreRange: true}, Range{}, blob, false},
		{"The rest from within what arrived", answer{}, Range{Partial: true, Start: 1000, End: -1}, blob[1000:], false},
		{"The rest from behind what arrived", answer{}, Range{Partial: true, Suffix: 1000}, blob[size-1000:], false},
		{"A part within what arrived", answer{}, Range{Partial: true, Start: 1000, End: 2000}, blob[1000:2000], false},
		{"A part across", answer{}, Range{Partial: true, Start: 1000, End: size - 1}, blob[1000 : size-1], false},
		{"Wrong bytes in the rest", answer{body: wrong(blob)}, Range{}, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rest := make(chan struct{})
			r := newRig(t, newOrigin(t, blob, answer{upTo: 100, restAt: rest}, tc.then))
			wrapSpool(r, func(sp spool) spool { return &fullSpool{spool: sp, room: room} })
			s, done := run(r.open(t, t.Context(), r.desc(), tc.rng))
			mirrored := make(chan error, 1)
			go func() { mirrored <- r.Fetch(t.Context(), app, r.desc(), nil) }()
			close(rest)
			err := ended(t, done)
			switch {
			case tc.fails && !errors.As(err, new(*upstream.Error)):
				t.Errorf("the reader returned %v, want a mismatch", err)
			case tc.fails && len(s.bytes()) >= size:
				t.Error("the reader got the final byte")
			case !tc.fails && (err != nil || !bytes.Equal(s.bytes(), tc.want)):
				t.Errorf("the reader got %d bytes of %d, %v", len(s.bytes()), len(tc.want), err)
			}
			if err := ended(t, mirrored); !errors.Is(err, store.ErrNoRoom) {
				t.Errorf("Fetch returned %v, want store.ErrNoRoom", err)
			}
			r.wantNothingStored(t)
		})
	}
}

// lostSpool is a disk that fails to sync.
type lostSpool struct {
	spool
	fail <-chan struct{}
}

func (s *lostSpool) Commit(context.Context) error {
	<-s.fail
	return fmt.Errorf("syncing: %w", syscall.EIO)
}

func TestBlob_B7_FailedCommitHarmsNoReader(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(100<<10, 43)))
	fail := make(chan struct{})
	wrapSpool(r, func(sp spool) spool { return &lostSpool{spool: sp, fail: fail} })
	s, done := run(r.open(t, t.Context(), r.desc(), Range{}))
	close(fail)
	if err := ended(t, done); err != nil || !bytes.Equal(s.bytes(), r.origin.blob) {
		t.Errorf("the reader got %d bytes, %v", len(s.bytes()), err)
	}
	r.wantNothingStored(t)
	if n := value(t, r.metrics.FetchFailures.WithLabelValues(causeStorage)); n != 1 {
		t.Errorf("%v failures were counted, want 1", n)
	}
}

// A real file system that is full: what does not fit streams through, and what fits later is stored.
func TestBlob_B7_FullFileSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	r := newRigAt(t, newOrigin(t, content(60<<20, 44)), dir)
	rd := r.open(t, t.Context(), r.desc(), Range{})
	s, done := run(rd)
	if err := ended(t, done); err != nil || !bytes.Equal(s.bytes(), r.origin.blob) || rd.How != PassThrough {
		t.Errorf("the reader got %d bytes by %v, %v", len(s.bytes()), rd.How, err)
	}
	if err := r.Fetch(t.Context(), app, r.desc(), nil); !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("Fetch returned %v, want store.ErrNoRoom", err)
	}
	r.wantNothingStored(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	if err := r.Fetch(t.Context(), imageref.Repository{Host: app.Host, Path: "a/b"}, r.desc(), nil); err != nil {
		t.Errorf("Fetch with room returned %v", err)
	}
}
