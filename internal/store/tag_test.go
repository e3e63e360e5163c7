package store

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func testTag(t *testing.T, s *Store, _ *damages) {
	_, err := s.Tag(t.Context(), nginx, "1")
	wantMissing(t, err)
	first, second := putManifest(t, s, nginx, "first"), putManifest(t, s, nginx, "second")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rec := TagRecord{
		Digest: second.Digest, MediaType: second.MediaType, Size: second.Size, Complete: first.Digest,
		Platforms: []string{"linux/amd64", "linux/arm64/v8"}, CheckedAt: now, ChangedAt: now, PulledAt: now,
		History: []Revision{{Digest: second.Digest, FirstSeen: now, LastSeen: now, Cause: Checked}},
	}
	wantNone(t, s.PutTag(t.Context(), nginx, "2", TagRecord{Digest: first.Digest}))
	wantNone(t, s.PutTag(t.Context(), nginx, "1", TagRecord{Digest: first.Digest}))
	wantNone(t, s.PutTag(t.Context(), nginx, "1", rec))
	got, err := s.Tag(t.Context(), nginx, "1")
	wantNone(t, err)
	wantEqual(t, got, rec)
	tags, err := s.Tags(t.Context(), nginx)
	wantNone(t, err)
	wantEqual(t, tags, []string{"1", "2"})

	paths, err := pathsOfTag(nginx, "1")
	wantNone(t, err)
	for path, want := range map[string]digest.Digest{
		paths.current:              second.Digest,
		paths.index(first.Digest):  first.Digest,
		paths.index(second.Digest): second.Digest,
	} {
		link, err := s.read(t.Context(), path)
		wantNone(t, err)
		wantEqual(t, string(link), want.String())
	}
}

func testM4Tombstone(t *testing.T, s *Store, _ *damages) {
	desc := putManifest(t, s, nginx, "gone")
	wantNone(t, s.PutTag(t.Context(), nginx, "1", TagRecord{Digest: desc.Digest}))
	for range 2 {
		wantNone(t, s.PutTag(t.Context(), nginx, "1", TagRecord{Digest: desc.Digest, Untagged: true}))
	}
	paths, err := pathsOfTag(nginx, "1")
	wantNone(t, err)
	if _, err := s.driver.Stat(t.Context(), paths.folder); !errors.Is(fromDriver(err), ErrNotFound) {
		t.Errorf("another registry still lists the tag: %v", err)
	}
	rec, err := s.Tag(t.Context(), nginx, "1")
	wantNone(t, err)
	wantEqual(t, rec, TagRecord{Digest: desc.Digest, Untagged: true})
	tags, err := s.Tags(t.Context(), nginx)
	wantNone(t, err)
	wantEqual(t, tags, []string{"1"})

	wantNone(t, s.PutTag(t.Context(), nginx, "1", TagRecord{Digest: desc.Digest}))
	link, err := s.read(t.Context(), paths.current)
	wantNone(t, err)
	wantEqual(t, string(link), desc.Digest.String())
}

func testPinDecision(t *testing.T, s *Store, _ *damages) {
	desc := putManifest(t, s, nginx, "pinned")
	rec := TagRecord{Digest: desc.Digest, MediaType: desc.MediaType, Size: desc.Size}
	rec.Pin = Pin{By: ByHand, At: time.Date(2026, 3, 1, 12, 0, 0, 7, time.UTC), Over: digest.FromString("before")}
	wantNone(t, s.PutTag(t.Context(), nginx, "1", rec))
	_, err := s.PinDecision(t.Context(), nginx, "1")
	wantMissing(t, err)
	let := rec
	let.Pin = Pin{}
	for _, rec := range []TagRecord{rec, let} {
		wantNone(t, s.PutPinDecision(t.Context(), nginx, "1", DecidedBy(rec)))
		got, err := s.PinDecision(t.Context(), nginx, "1")
		wantNone(t, err)
		wantEqual(t, got, DecidedBy(rec))
		if !got.InForce(&rec) {
			t.Errorf("%+v is not in force in the record that it stands for", got)
		}
	}
	if DecidedBy(rec).InForce(&let) || DecidedBy(let).InForce(&rec) {
		t.Error("a pin is taken for one that was let go, or the other way round")
	}
	tags, err := s.Tags(t.Context(), nginx)
	wantNone(t, err)
	wantEqual(t, tags, []string{"1"})
	paths, err := pathsOfTag(nginx, "1")
	wantNone(t, err)
	wantNone(t, s.writer.put(t.Context(), paths.decision, []byte("{")))
	_, err = s.PinDecision(t.Context(), nginx, "1")
	wantMissing(t, err)
}

func testUnreadableRecord(t *testing.T, s *Store, _ *damages) {
	desc := putManifest(t, s, nginx, "kept")
	wantNone(t, s.PutTag(t.Context(), nginx, "1", TagRecord{Digest: desc.Digest, Size: 7}))
	paths, err := pathsOfTag(nginx, "1")
	wantNone(t, err)
	wantNone(t, s.writer.put(t.Context(), paths.record, nil))
	rec, err := s.Tag(t.Context(), nginx, "1")
	wantNone(t, err)
	wantEqual(t, rec, TagRecord{Digest: desc.Digest})
	wantNone(t, s.writer.put(t.Context(), paths.current, []byte("sha256:nonsense")))
	_, err = s.Tag(t.Context(), nginx, "1")
	wantMissing(t, err)
}

func testDocument(t *testing.T, s *Store, _ *damages) {
	name := "referrers/" + digest.FromString("subject").Encoded()
	_, err := s.Document(t.Context(), nginx, name)
	wantMissing(t, err)
	for _, content := range []string{"first, and longer", "second"} {
		wantNone(t, s.PutDocument(t.Context(), nginx, name, []byte(content)))
		got, err := s.Document(t.Context(), nginx, name)
		wantNone(t, err)
		wantEqual(t, string(got), content)
	}
}

func testRepositories(t *testing.T, s *Store, _ *damages) {
	wantNone(t, s.Repositories(t.Context(), func(imageref.Repository) error { return io.ErrShortWrite }))
	want := []imageref.Repository{
		{Host: "docker.io", Path: "a/b-c"},
		{Host: "docker.io", Path: "a-b/c"},
		{Host: "docker.io", Path: "library/nginx"},
		{Host: "docker.io", Path: "library/nginx/nested/deep"},
		{Host: "localhost:5000", Path: "app"},
		{Host: "reg.example:5000", Path: "team/app"},
		{Host: "[fd00::1]:5000", Path: "app"},
	}
	for _, repo := range want {
		putManifest(t, s, repo, "any")
	}
	for _, foreign := range []string{"/stray-file", "/short/_manifests/x", "/UPPER.example/x/_layers/y", "/docker.io/.tmp"} {
		wantNone(t, s.writer.put(t.Context(), repositoriesRoot+foreign, []byte("x")))
	}
	var got []imageref.Repository
	wantNone(t, s.Repositories(t.Context(), func(repo imageref.Repository) error {
		got = append(got, repo)
		return nil
	}))
	byName := func(a, b imageref.Repository) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(want, byName)
	slices.SortFunc(got, byName)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("repositories (-want +got):\n%s", diff)
	}
	err := s.Repositories(t.Context(), func(imageref.Repository) error { return io.ErrShortWrite })
	if !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got error %v, want that of the callback", err)
	}
}

func testNames(t *testing.T, s *Store, _ *damages) {
	desc := ocispec.Descriptor{Digest: digest.FromString("x"), Size: 1}
	for _, repo := range []imageref.Repository{
		{Host: "docker.io", Path: "../../../blobs"}, {Host: "..", Path: "x"}, {Host: "docker.io", Path: ""},
		{Host: "docker.io", Path: "library/_manifests"}, {Host: "docker.io", Path: "a//b"},
	} {
		for what, err := range map[string]error{
			"a link":     s.LinkBlob(t.Context(), repo, desc),
			"a tag":      s.PutTag(t.Context(), repo, "1", TagRecord{Digest: desc.Digest}),
			"a document": s.PutDocument(t.Context(), repo, "x", nil),
		} {
			if !errors.Is(err, errName) {
				t.Errorf("%s in %q: got error %v", what, repo, err)
			}
		}
	}
	for _, tag := range []string{"", "..", "a/b", "-a", ".a"} {
		if err := s.PutTag(t.Context(), nginx, tag, TagRecord{Digest: desc.Digest}); !errors.Is(err, errName) {
			t.Errorf("tag %q: got error %v", tag, err)
		}
	}
	for _, name := range []string{"", "..", "a/../b", "a//b", "/a"} {
		if err := s.PutDocument(t.Context(), nginx, name, nil); !errors.Is(err, errName) {
			t.Errorf("document %q: got error %v", name, err)
		}
	}
	for _, dgst := range []digest.Digest{"", "sha256:abc", "sha256:../../x", "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		if _, err := s.NewSpool(dgst, 1); err == nil {
			t.Errorf("a spool for %q was created", dgst)
		}
		if _, err := s.OpenBlob(t.Context(), dgst, -1); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("opening blob %q: got error %v", dgst, err)
		}
		if err := s.PutTag(t.Context(), nginx, "1", TagRecord{Digest: dgst}); err == nil {
			t.Errorf("a tag of %q was written", dgst)
		}
	}
}
