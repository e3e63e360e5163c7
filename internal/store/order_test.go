package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// crash is a model of a file system that keeps after a power cut only what was synced: the content of a file, and the
// entry of a file or folder in the folder above it. What was there before the model began counts as unsynced.
type crash struct {
	root string
	// before is called with the name that a file is about to be given, while the model is locked.
	before func(dest string)

	mu      sync.Mutex
	seen    map[string]bool // names that exist
	entries map[string]bool // names whose entry is durable
	content map[string]bool // files whose content is durable
	syncs   int
}

// watch puts the model between a store and its disk.
func watch(s *Store) *crash {
	d := s.writer.(*disk)
	c := &crash{root: d.root, before: func(string) {}, seen: map[string]bool{}, entries: map[string]bool{}, content: map[string]bool{}}
	_ = filepath.WalkDir(d.root, func(name string, _ fs.DirEntry, err error) error {
		c.seen[name] = true
		return err
	})
	d.driver = &crashDriver{d.driver, c}
	d.mkdir = c.mkdir
	inner := d.syncDir
	d.syncDir = func(name string) error { return c.syncDir(name, inner) }
	s.spools.sync = func(f *os.File) error {
		err := f.Sync()
		c.wrote(f.Name())
		return err
	}
	return c
}

func (c *crash) mkdir(name string, mode fs.FileMode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := os.Mkdir(name, mode)
	if err == nil {
		delete(c.entries, name)
	}
	c.seen[name] = true
	return err
}

// syncDir makes durable what existed when the sync began.
func (c *crash) syncDir(dir string, inner func(string) error) error {
	c.mu.Lock()
	var names []string
	for name := range c.seen {
		if filepath.Dir(name) == dir {
			names = append(names, name)
		}
	}
	c.mu.Unlock()
	if err := inner(dir); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.syncs++
	for _, name := range names {
		c.entries[name] = true
	}
	return nil
}

func (c *crash) wrote(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.syncs++
	c.seen[name], c.content[name] = true, true
}

// survives says whether a file of the store would be there after a power cut. The lock is held.
func (c *crash) survives(path string) bool {
	name := filepath.Join(c.root, path)
	if !c.content[name] {
		return false
	}
	for ; name != c.root; name = filepath.Dir(name) {
		if !c.entries[name] {
			return false
		}
	}
	return true
}

func (c *crash) wantDurable(t *testing.T, paths ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, path := range paths {
		if !c.survives(path) {
			t.Errorf("%s would not survive a power cut", path)
		}
	}
}

type crashDriver struct {
	storagedriver.StorageDriver
	crash *crash
}

func (d *crashDriver) Move(ctx context.Context, source, dest string) error {
	c := d.crash
	c.mu.Lock()
	defer c.mu.Unlock()
	from, to := filepath.Join(c.root, source), filepath.Join(c.root, dest)
	if !isDir(filepath.Dir(to)) {
		return errors.New("the driver would make a folder that nobody syncs")
	}
	c.before(dest)
	if err := d.StorageDriver.Move(ctx, source, dest); err != nil {
		return err
	}
	c.seen[to], c.content[to] = true, c.content[from]
	delete(c.seen, from)
	delete(c.entries, to)
	return nil
}

func (d *crashDriver) Writer(ctx context.Context, path string, appended bool) (storagedriver.FileWriter, error) {
	w, err := d.StorageDriver.Writer(ctx, path, appended)
	return &crashWriter{w, d.crash, filepath.Join(d.crash.root, path)}, err
}

type crashWriter struct {
	storagedriver.FileWriter
	crash *crash
	name  string
}

func (w *crashWriter) Commit(ctx context.Context) error {
	err := w.FileWriter.Commit(ctx)
	w.crash.wrote(w.name)
	return err
}

// watched are the files of one image.
type watched struct {
	repo           imageref.Repository
	layer          []byte
	manifest       ocispec.Descriptor
	layerDigest    digest.Digest
	layerLink      string
	layerRecord    string
	manifestLink   string
	manifestRecord string
	tag            tagPaths
}

func newWatched(t *testing.T, repo imageref.Repository) watched {
	t.Helper()
	w := watched{repo: repo, layer: []byte("layer of " + repo.String())}
	w.layerDigest = digest.FromBytes(w.layer)
	w.manifest, _ = manifestOf(t, repo.String())
	var err error
	w.layerLink, w.layerRecord, err = linkPaths(repo, blobLink, w.layerDigest)
	wantNone(t, err)
	w.manifestLink, w.manifestRecord, err = linkPaths(repo, manifestLink, w.manifest.Digest)
	wantNone(t, err)
	w.tag, err = pathsOfTag(repo, "1")
	wantNone(t, err)
	return w
}

// needs lists what must be durable before a file gets its name.
func (w watched) needs() map[string][]string {
	return map[string][]string{
		w.layerLink:                    {blobPath(w.layerDigest)},
		w.layerRecord:                  {w.layerLink},
		w.manifestLink:                 {blobPath(w.manifest.Digest)},
		w.manifestRecord:               {w.manifestLink},
		w.tag.index(w.manifest.Digest): {w.manifestRecord},
		w.tag.current:                  {w.tag.index(w.manifest.Digest)},
		w.tag.record:                   {w.tag.current, w.manifestRecord},
	}
}

// store does what a pull does, and wants each step to be durable when it returns.
func (w watched) store(t *testing.T, s *Store, c *crash) {
	commit(t, s, w.layer)
	c.wantDurable(t, blobPath(w.layerDigest))
	wantNone(t, s.LinkBlob(t.Context(), w.repo, ocispec.Descriptor{Digest: w.layerDigest, Size: int64(len(w.layer))}))
	c.wantDurable(t, w.layerLink, w.layerRecord)
	putManifest(t, s, w.repo, w.repo.String())
	c.wantDurable(t, blobPath(w.manifest.Digest), w.manifestLink, w.manifestRecord)
	wantNone(t, s.PutTag(t.Context(), w.repo, "1", TagRecord{Digest: w.manifest.Digest}))
	c.wantDurable(t, w.tag.index(w.manifest.Digest), w.tag.current, w.tag.record)
	wantNone(t, s.PutDocument(t.Context(), w.repo, "tags", nil))
	document, err := documentPath(w.repo, "tags")
	wantNone(t, err)
	c.wantDurable(t, document)
}

func TestStore_P1_NothingNamesWhatAPowerCutWouldTake(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t, Options{})
	c := watch(s)
	w := newWatched(t, nginx)
	needs := w.needs()
	named := 0
	c.before = func(dest string) {
		for _, needed := range needs[dest] {
			named++
			if !c.survives(needed) {
				t.Errorf("%s gets its name before %s is durable", dest, needed)
			}
		}
	}
	w.store(t, s, c)
	wantEqual(t, named, len(needs)+1)

	before := c.syncs
	w.store(t, s, c)
	t.Logf("syncs: %d for a first image, %d to repeat it", before, c.syncs-before)

	before = c.syncs
	wantNone(t, s.PutTag(t.Context(), nginx, "1", TagRecord{Digest: w.manifest.Digest, Size: 1}))
	wantEqual(t, c.syncs-before, 2) // the record and its folder
}

// TestStore_P1_WritersDoNotRelyOnEachOthersFolders races writers that make the same new folders.
func TestStore_P1_WritersDoNotRelyOnEachOthersFolders(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t, Options{})
	c := watch(s)
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		w := newWatched(t, imageref.Repository{Host: "docker.io", Path: "deep/down/below/" + name})
		wg.Go(func() { w.store(t, s, c) })
	}
	wg.Wait()
}

// TestStore_P1_UnsyncedFolder stops the first writer between making a folder and syncing it: the second, which finds the
// folder, must see to its durability itself.
func TestStore_P1_UnsyncedFolder(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t, Options{})
	c := watch(s)
	d := s.writer.(*disk)
	inner := d.syncDir
	made, release := make(chan struct{}), make(chan struct{})
	var first sync.Once
	d.syncDir = func(name string) error {
		if strings.HasSuffix(name, "/library/nginx") {
			stopped := false
			first.Do(func() { stopped = true })
			if stopped {
				close(made)
				<-release
			}
		}
		return inner(name)
	}
	written := make(chan error, 1)
	go func() { written <- s.PutDocument(t.Context(), nginx, "first", nil) }()
	select {
	case <-made:
	case err := <-written:
		t.Fatalf("the folder was never synced: error %v", err)
	}
	wantNone(t, s.PutDocument(t.Context(), nginx, "second", nil))
	path, err := documentPath(nginx, "second")
	wantNone(t, err)
	c.wantDurable(t, path)
	close(release)
	wantNone(t, <-written)
}

// TestStore_P1_FoundFiles is about a process that was killed between a rename and the sync of the folder.
func TestStore_P1_FoundFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s, _ := openStore(t, Options{Data: root})
	w := newWatched(t, nginx)
	w.store(t, s, watch(s))

	s, _ = openStore(t, Options{Data: root})
	c := watch(s)
	for _, path := range []string{w.layerRecord, w.manifestRecord, w.tag.current, blobPath(w.manifest.Digest)} {
		c.content[filepath.Join(root, path)] = true
	}
	wantNone(t, s.LinkBlob(t.Context(), nginx, ocispec.Descriptor{Digest: w.layerDigest, Size: int64(len(w.layer))}))
	putManifest(t, s, nginx, nginx.String())
	c.wantDurable(t, w.layerRecord, w.manifestRecord, blobPath(w.manifest.Digest))
	wantNone(t, s.PutTag(t.Context(), nginx, "1", TagRecord{Digest: w.manifest.Digest}))
	c.wantDurable(t, w.tag.current, w.tag.record)
}

func TestStore_P1_FailedSyncIsNoCommit(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t, Options{})
	s.spools.sync = func(*os.File) error { return os.ErrInvalid }
	dgst := digest.FromString("unsynced")
	sp, err := s.NewSpool(dgst, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Write([]byte("unsynced")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := sp.Commit(t.Context()); err == nil {
			t.Error("what could not be synced was committed")
		}
	}
	sp.Discard()
	_, err = s.StatBlob(t.Context(), dgst)
	wantMissing(t, err)
	wantEqual(t, len(spoolFiles(t, s)), 0)
}

func TestStore_P1_WipedByHand(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t, Options{})
	c := watch(s)
	w := newWatched(t, nginx)
	w.store(t, s, c)
	wantNone(t, os.RemoveAll(filepath.Join(c.root, "docker")))
	wantNone(t, os.RemoveAll(filepath.Join(c.root, "larder")))
	clear(c.seen)
	clear(c.entries)
	clear(c.content)
	w.store(t, s, c)
}
