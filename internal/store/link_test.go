package store

import (
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func testLink(t *testing.T, s *Store, _ *damages) {
	desc := ocispec.Descriptor{Digest: digest.FromString("layer"), Size: 5, MediaType: ocispec.MediaTypeImageLayerGzip}
	_, err := s.LinkedBlob(t.Context(), nginx, desc.Digest)
	wantMissing(t, err)
	wantNone(t, s.LinkBlob(t.Context(), nginx, desc))
	other := desc
	other.MediaType = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	wantNone(t, s.LinkBlob(t.Context(), nginx, other))
	wantNone(t, s.LinkBlob(t.Context(), nginx, ocispec.Descriptor{Digest: desc.Digest, Size: -1}))
	for range 2 {
		got, err := s.LinkedBlob(t.Context(), nginx, desc.Digest)
		wantNone(t, err)
		wantEqual(t, got, desc)
		s.links = newMemo[linkKey, ocispec.Descriptor](1, time.Hour)
	}
	_, err = s.LinkedManifest(t.Context(), nginx, desc.Digest)
	wantMissing(t, err)
	_, err = s.LinkedBlob(t.Context(), imageref.Repository{Host: "ghcr.io", Path: "library/nginx"}, desc.Digest)
	wantMissing(t, err)
}

func testRepairLink(t *testing.T, s *Store, _ *damages) {
	desc := ocispec.Descriptor{Digest: digest.FromString("layer"), Size: 5, MediaType: "layer"}
	link, record, err := linkPaths(nginx, blobLink, desc.Digest)
	wantNone(t, err)
	for _, removed := range []string{link, record, repositoriesRoot} {
		wantNone(t, s.LinkBlob(t.Context(), nginx, desc))
		wantNone(t, s.driver.Delete(t.Context(), removed))
		wantNone(t, s.LinkBlob(t.Context(), nginx, desc))
		for _, path := range []string{link, record} {
			there, err := s.exists(t.Context(), path)
			wantNone(t, err)
			if !there {
				t.Errorf("%s is missing after %s was removed and the blob linked again", path, removed)
			}
		}
	}
	now := time.Now()
	s.links.now = func() time.Time { return now }
	wantNone(t, s.LinkBlob(t.Context(), nginx, desc))
	wantNone(t, s.driver.Delete(t.Context(), repositoriesRoot))
	now = now.Add(s.links.ttl + 1)
	_, err = s.LinkedBlob(t.Context(), nginx, desc.Digest)
	wantMissing(t, err)
}

func testForeignLinks(t *testing.T, s *Store, _ *damages) {
	body := []byte(`{"schemaVersion":2,"manifests":[]}`)
	dgst := commit(t, s, body)
	for _, k := range []kind{blobLink, manifestLink} {
		link, _, err := linkPaths(nginx, k, dgst)
		wantNone(t, err)
		wantNone(t, s.writer.put(t.Context(), link, []byte(dgst)))
	}
	got, err := s.LinkedBlob(t.Context(), nginx, dgst)
	wantNone(t, err)
	wantEqual(t, got, ocispec.Descriptor{Digest: dgst, Size: -1})
	_, got, err = s.ReadManifest(t.Context(), nginx, dgst)
	wantNone(t, err)
	wantEqual(t, got, ocispec.Descriptor{Digest: dgst, Size: int64(len(body)), MediaType: ocispec.MediaTypeImageIndex})

	paths, err := pathsOfTag(nginx, "foreign")
	wantNone(t, err)
	wantNone(t, s.writer.put(t.Context(), paths.current, []byte(dgst)))
	rec, err := s.Tag(t.Context(), nginx, "foreign")
	wantNone(t, err)
	wantEqual(t, rec, TagRecord{Digest: dgst})
	tags, err := s.Tags(t.Context(), nginx)
	wantNone(t, err)
	wantEqual(t, tags, []string{"foreign"})
}

func TestMemo(t *testing.T) {
	t.Parallel()
	t.Run("A value read before a write is not remembered after it", func(t *testing.T) {
		t.Parallel()
		m := newMemo[string, int](10, time.Minute)
		_, mark, _ := m.get("a")
		m.wrote("a", 2)
		m.fill("a", 1, mark)
		got, _, ok := m.get("a")
		if !ok || got != 2 {
			t.Errorf("got %d, %v", got, ok)
		}
	})
	t.Run("A value is forgotten after its time", func(t *testing.T) {
		t.Parallel()
		m := newMemo[string, int](10, time.Minute)
		now := time.Now()
		m.now = func() time.Time { return now }
		_, mark, _ := m.get("a")
		m.fill("a", 1, mark)
		if _, _, ok := m.get("a"); !ok {
			t.Error("it was not remembered")
		}
		now = now.Add(time.Minute + 1)
		if _, _, ok := m.get("a"); ok {
			t.Error("it is still remembered")
		}
	})
	t.Run("The number of entries is bounded", func(t *testing.T) {
		t.Parallel()
		m := newMemo[int, int](10, time.Minute)
		for i := range 100 {
			m.wrote(i, i)
		}
		wantEqual(t, m.lru.Len(), 10)
	})
}
