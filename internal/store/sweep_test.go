package store

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// image is a manifest with a config and a layer, all stored and linked.
type image struct {
	desc  ocispec.Descriptor
	body  []byte
	blobs []digest.Digest
}

// putImage stores an image whose blobs hold the given words.
func putImage(t testing.TB, s *Store, repo imageref.Repository, subject *ocispec.Descriptor, words ...string) image {
	t.Helper()
	var blobs []ocispec.Descriptor
	var img image
	for _, word := range words {
		dgst := commit(t, s, []byte(word))
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: dgst, Size: int64(len(word))}
		if err := s.LinkBlob(t.Context(), repo, desc); err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, desc)
		img.blobs = append(img.blobs, dgst)
	}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: blobs[0], Layers: blobs[1:], Subject: subject,
	}
	img.desc, img.body = putJSON(t, s, repo, manifest.MediaType, manifest)
	return img
}

func putIndex(t testing.TB, s *Store, repo imageref.Repository, children ...image) image {
	t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, child := range children {
		index.Manifests = append(index.Manifests, child.desc)
	}
	desc, body := putJSON(t, s, repo, index.MediaType, index)
	return image{desc: desc, body: body}
}

func putJSON(t testing.TB, s *Store, repo imageref.Repository, mediaType string, v any) (ocispec.Descriptor, []byte) {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	if err := s.PutManifest(t.Context(), repo, desc, body); err != nil {
		t.Fatal(err)
	}
	return desc, body
}

func putTag(t testing.TB, s *Store, repo imageref.Repository, tag string, rec TagRecord) {
	t.Helper()
	if err := s.PutTag(t.Context(), repo, tag, rec); err != nil {
		t.Fatal(err)
	}
}

func sweepNow(t testing.TB, s *Store, o SweepOptions) SweepReport {
	t.Helper()
	report, err := s.Sweep(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// wantImage fails the test where an image is not as it was stored, or, where it should be gone, anything is left of it.
func wantImage(t testing.TB, s *Store, repo imageref.Repository, img image, there bool) {
	t.Helper()
	_, _, err := s.ReadManifest(t.Context(), repo, img.desc.Digest)
	wantThere(t, "manifest "+img.desc.Digest.String(), err, there)
	_, err = s.StatBlob(t.Context(), img.desc.Digest)
	wantThere(t, "manifest's blob "+img.desc.Digest.String(), err, there)
	for _, dgst := range img.blobs {
		_, err := s.LinkedBlob(t.Context(), repo, dgst)
		wantThere(t, "link of "+dgst.String(), err, there)
		_, err = s.StatBlob(t.Context(), dgst)
		wantThere(t, "blob "+dgst.String(), err, there)
	}
}

func wantThere(t testing.TB, what string, err error, there bool) {
	t.Helper()
	if there && err != nil {
		t.Errorf("%s: %v, want it to be stored", what, err)
	}
	if !there && !errors.Is(err, ErrNotFound) {
		t.Errorf("%s: %v, want it to be gone", what, err)
	}
}

func TestSweep_M4_KeepsWhatIsReached(t *testing.T) {
	t.Parallel()
	forEachDriver(t, func(t *testing.T, s *Store) {
		current := putIndex(t, s, nginx, putImage(t, s, nginx, nil, "config", "layer"))
		child := putImage(t, s, nginx, nil, "config", "layer")
		old := putImage(t, s, nginx, nil, "old config", "old layer", "layer")
		complete := putImage(t, s, nginx, nil, "whole config")
		signature := putImage(t, s, nginx, &child.desc, "signature")
		ofSignature := putImage(t, s, nginx, &signature.desc, "signature of the signature")
		byDigest := putImage(t, s, nginx, nil, "pinned")
		loose := putImage(t, s, nginx, nil, "loose", "layer")
		ofLoose := putImage(t, s, nginx, &loose.desc, "signature of something loose")
		putTag(t, s, nginx, "1", TagRecord{
			Digest: current.desc.Digest, Complete: complete.desc.Digest, History: []Revision{{Digest: current.desc.Digest}, {Digest: old.desc.Digest}},
		})
		keeps := func(_ imageref.Repository, dgst digest.Digest) bool { return dgst == byDigest.desc.Digest }

		sweepNow(t, s, SweepOptions{Keeps: keeps})
		for _, img := range []image{current, child, old, complete, signature, ofSignature, byDigest} {
			wantImage(t, s, nginx, img, true)
		}
		loose.blobs = loose.blobs[:1] // the other is another image's too
		wantImage(t, s, nginx, loose, false)
		wantImage(t, s, nginx, ofLoose, false)
	})
}

func TestSweep_M4_TwoMarksAGracePeriodApart(t *testing.T) {
	t.Parallel()
	forEachDriver(t, func(t *testing.T, s *Store) {
		now := time.Unix(1_700_000_000, 0)
		o := SweepOptions{Grace: time.Hour, Now: func() time.Time { return now }}
		img := putImage(t, s, nginx, nil, "config", "layer")
		putTag(t, s, nginx, "1", TagRecord{Digest: img.desc.Digest, Untagged: true})

		if got := sweepNow(t, s, o); got.Freed != (Swept{}) || got.Waiting.Blobs != 3 || !got.Next.Equal(now.Add(time.Hour)) {
			t.Errorf("the first mark: got %+v, want nothing freed and three blobs to wait for an hour", got)
		}
		now = now.Add(59 * time.Minute)
		if got := sweepNow(t, s, o); !got.Skipped || got.Freed != (Swept{}) {
			t.Errorf("too early: got %+v, want that it was not looked", got)
		}
		wantImage(t, s, nginx, img, true)
		now = now.Add(time.Minute)
		got := sweepNow(t, s, o)
		want := Swept{Tags: 1, Manifests: 1, Links: 2, Blobs: 3, Bytes: int64(len("config")+len("layer")) + img.desc.Size}
		if diff := cmp.Diff(want, got.Freed); diff != "" {
			t.Errorf("freed (-want +got):\n%s", diff)
		}
		wantImage(t, s, nginx, img, false)
		if err := s.Repositories(t.Context(), func(repo imageref.Repository) error { return errors.New(repo.String()) }); err != nil {
			t.Errorf("the empty repository is left: %v", err)
		}
	})
}

func TestSweep_M4_ABlobOfTwoRepositoriesStays(t *testing.T) {
	t.Parallel()
	forEachDriver(t, func(t *testing.T, s *Store) {
		other := imageref.Repository{Host: "docker.io", Path: "library/other"}
		img := putImage(t, s, nginx, nil, "config", "layer")
		same := putImage(t, s, other, nil, "config", "layer")
		putTag(t, s, other, "1", TagRecord{Digest: same.desc.Digest})
		sweepNow(t, s, SweepOptions{})
		wantImage(t, s, other, same, true)
		_, err := s.LinkedManifest(t.Context(), nginx, img.desc.Digest)
		wantMissing(t, err)
	})
}

func TestSweep_M4_AnotherRegistrysRepositoriesAreLeftAlone(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t, Options{})
	dgst := commit(t, s, []byte("layer"))
	folder := repositoriesRoot + "/plain-name/_layers/sha256/" + dgst.Encoded()
	if err := s.driver.PutContent(t.Context(), folder+"/link", []byte(dgst)); err != nil {
		t.Fatal(err)
	}
	sweepNow(t, s, SweepOptions{})
	if _, err := s.StatBlob(t.Context(), dgst); err != nil {
		t.Errorf("a blob of a repository whose name stands for no origin: %v", err)
	}
}

func TestSweep_M4_WhatCannotBeReadKeepsItsLinks(t *testing.T) {
	t.Parallel()
	forEachDriver(t, func(t *testing.T, s *Store) {
		img := putImage(t, s, nginx, nil, "config", "layer")
		putTag(t, s, nginx, "1", TagRecord{Digest: img.desc.Digest})
		if err := s.driver.Delete(t.Context(), blobPath(img.desc.Digest)); err != nil {
			t.Fatal(err)
		}
		sweepNow(t, s, SweepOptions{})
		for _, dgst := range img.blobs {
			_, err := s.StatBlob(t.Context(), dgst)
			wantThere(t, "blob of a manifest that was lost", err, true)
		}
	})
}

func TestSweep_M4_ATagThatCannotBeReadKeepsAll(t *testing.T) {
	t.Parallel()
	forEachDriver(t, func(t *testing.T, s *Store) {
		img := putImage(t, s, nginx, nil, "config", "layer")
		paths, err := pathsOfTag(nginx, "1")
		wantNone(t, err)
		wantNone(t, s.driver.PutContent(t.Context(), paths.record, []byte("{")))
		sweepNow(t, s, SweepOptions{})
		wantImage(t, s, nginx, img, true)
	})
}

func TestSweep_M4_ATagThatWasRemovedDoesNotComeBackFromKubeImageKeeper(t *testing.T) {
	t.Parallel()
	forEachDriver(t, func(t *testing.T, s *Store) {
		repo := imageref.Repository{Host: "reg.example:5000", Path: "team/app"}
		img := putImage(t, s, repo, nil, "config", "layer")
		root, _ := keeperPath(repo)
		wantNone(t, s.driver.PutContent(t.Context(), tagLink(root, "1"), []byte(img.desc.Digest)))
		putTag(t, s, repo, "1", TagRecord{Digest: img.desc.Digest, Untagged: true})
		sweepNow(t, s, SweepOptions{})
		if rec, err := s.Tag(t.Context(), repo, "1"); err != nil || !rec.Untagged {
			t.Errorf("got %+v, %v; want that the tag stays removed", rec, err)
		}
	})
}

func TestSweep_DryRunDeletesNothing(t *testing.T) {
	t.Parallel()
	forEachDriver(t, func(t *testing.T, s *Store) {
		img := putImage(t, s, nginx, nil, "config", "layer")
		got := sweepNow(t, s, SweepOptions{DryRun: true})
		if got.Freed.Blobs != 3 || got.Freed.Manifests != 1 {
			t.Errorf("got %+v, want that three blobs and a manifest would be freed", got)
		}
		wantImage(t, s, nginx, img, true)
		if _, err := s.read(t.Context(), candidatesPath); !errors.Is(err, ErrNotFound) {
			t.Errorf("a dry run left a mark: %v", err)
		}
	})
}

func TestSweep_LeavesNoFileBehind(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, _ := openStore(t, Options{Data: folder})
	img := putImage(t, s, nginx, nil, "config", "layer")
	putTag(t, s, nginx, "1", TagRecord{Digest: img.desc.Digest})
	putTag(t, s, nginx, "1", TagRecord{Digest: img.desc.Digest, Untagged: true})
	if err := s.PutDocument(t.Context(), nginx, "tags", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	sweepNow(t, s, SweepOptions{})
	for _, tree := range []string{"docker/registry/v2/blobs", "docker/registry/v2/repositories"} {
		err := filepath.WalkDir(filepath.Join(folder, tree), func(name string, entry fs.DirEntry, err error) error {
			if err == nil && (!entry.IsDir() || tree == "docker/registry/v2/repositories" && filepath.Base(name) != "repositories") {
				t.Errorf("left: %s", name)
			}
			return err
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func forEachDriver(t *testing.T, run func(*testing.T, *Store)) {
	t.Helper()
	for _, driver := range []string{"filesystem", "inmemory"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			s, _ := openStore(t, Options{Driver: driver})
			run(t, s)
		})
	}
}

// cut is a driver that ends its process, as far as that can be seen, after a number of deletions.
type cut struct {
	storagedriver.StorageDriver
	left int
}

var errCut = errors.New("killed")

func (c *cut) Delete(ctx context.Context, path string) error {
	if c.left--; c.left < 0 {
		return errCut
	}
	return c.StorageDriver.Delete(ctx, path)
}

// A sweep that was killed has said what it would delete, which nobody may store until another one says that it is over: also one that has nothing
// to do yet.
func TestSweep_P1_WhatAKilledSweepWouldDeleteCanBeStoredAgain(t *testing.T) {
	t.Parallel()
	w := newSharedWorld(t)
	o := SweepOptions{Grace: time.Hour, Sole: true}
	sweepNow(t, w.sweeper, o)
	killed, kill := context.WithCancel(t.Context())
	_, err := w.sweeper.Sweep(killed, SweepOptions{Sole: true, wait: func(context.Context, time.Duration) error {
		kill()
		return killed.Err()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want that it was killed", err)
	}
	store := func() error { return w.store.PutManifest(t.Context(), nginx, w.old.desc, w.old.body) }
	if err := store(); !errors.Is(err, ErrDoomed) {
		t.Errorf("got %v, want that a sweep is deleting it", err)
	}
	if report := sweepNow(t, w.sweeper, o); !report.Skipped {
		t.Fatalf("got %+v, want nothing looked at before the grace period is over", report)
	}
	if err := store(); err != nil {
		t.Error(err)
	}
}

func TestSweep_P1_AnotherProcessGoesOnWhereOneWasKilled(t *testing.T) {
	t.Parallel()
	for deletions := 0; ; deletions++ {
		folder := t.TempDir()
		s, _ := openStore(t, Options{Data: folder})
		s.spools.sync = func(*os.File) error { return nil }
		now := time.Unix(1_700_000_000, 0)
		o := SweepOptions{Grace: time.Hour, Now: func() time.Time { return now }}
		kept := putImage(t, s, nginx, nil, "config", "layer")
		gone := putImage(t, s, nginx, nil, "old config", "layer")
		putTag(t, s, nginx, "1", TagRecord{Digest: kept.desc.Digest})
		putTag(t, s, nginx, "0", TagRecord{Digest: gone.desc.Digest, Untagged: true})
		sweepNow(t, s, o)
		now = now.Add(time.Hour)

		s.driver = &cut{s.driver, deletions}
		_, err := s.Sweep(t.Context(), o)
		if err != nil && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		again, _ := openStore(t, Options{Data: folder})
		sweepNow(t, again, o)
		wantImage(t, again, nginx, kept, true)
		gone.blobs = gone.blobs[:1]
		wantImage(t, again, nginx, gone, false)
		if _, err := again.Tag(t.Context(), nginx, "0"); !errors.Is(err, ErrNotFound) {
			t.Errorf("the tombstone: %v, want it gone", err)
		}
		if t.Failed() {
			t.Fatalf("killed after %d deletions", deletions)
		}
		if err == nil {
			return
		}
	}
}
