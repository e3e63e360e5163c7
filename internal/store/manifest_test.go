package store

import (
	"errors"
	"io"
	"testing"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func testManifest(t *testing.T, s *Store, d *damages) {
	first := putManifest(t, s, nginx, "first")
	second := putManifest(t, s, nginx, "second")
	wantEqual(t, putManifest(t, s, nginx, "first"), first)
	for _, desc := range []ocispec.Descriptor{first, second} {
		body, got, err := s.ReadManifest(t.Context(), nginx, desc.Digest)
		wantNone(t, err)
		wantEqual(t, got, desc)
		wantEqual(t, digest.FromBytes(body), desc.Digest)
	}
	var listed []digest.Digest
	wantNone(t, s.Manifests(t.Context(), nginx, func(d digest.Digest) error { listed = append(listed, d); return nil }))
	if len(listed) != 2 || listed[0] == listed[1] {
		t.Errorf("listed %v", listed)
	}
	if err := s.Manifests(t.Context(), nginx, func(digest.Digest) error { return io.ErrShortWrite }); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got error %v, want that of the callback", err)
	}

	_, _, err := s.ReadManifest(t.Context(), imageref.Repository{Host: "docker.io", Path: "other/app"}, first.Digest)
	wantMissing(t, err)
	wantEqual(t, d.list(), []digest.Digest(nil))
}

func testWrongManifest(t *testing.T, s *Store, _ *damages) {
	body := []byte(`{"schemaVersion":2}`)
	wrong := ocispec.Descriptor{Digest: digest.FromString("other"), Size: int64(len(body))}
	if err := s.PutManifest(t.Context(), nginx, wrong, body); err == nil {
		t.Error("a manifest with another digest was stored")
	}
	large := make([]byte, manifest.MaxSize+1)
	desc := ocispec.Descriptor{Digest: digest.FromBytes(large), Size: int64(len(large))}
	if err := s.PutManifest(t.Context(), nginx, desc, large); !errors.Is(err, errManifestSize) {
		t.Errorf("a manifest of more than 4 MiB: got error %v", err)
	}
	commitAs(t, s, desc.Digest, large)
	link, _, err := linkPaths(nginx, manifestLink, desc.Digest)
	wantNone(t, err)
	wantNone(t, s.writer.put(t.Context(), link, []byte(desc.Digest)))
	if _, _, err := s.ReadManifest(t.Context(), nginx, desc.Digest); !errors.Is(err, errManifestSize) {
		t.Errorf("a stored manifest of more than 4 MiB: got error %v", err)
	}
	_, err = s.StatBlob(t.Context(), desc.Digest)
	wantNone(t, err)
}

func testCorruptedManifest(t *testing.T, s *Store, d *damages) {
	for name, corrupt := range map[string]func([]byte) []byte{
		"flipped bit": func(b []byte) []byte { b[3] ^= 1; return b },
		"truncated":   func(b []byte) []byte { return b[:10] },
		"empty":       func([]byte) []byte { return nil },
		"too large":   func([]byte) []byte { return make([]byte, manifest.MaxSize+1) },
	} {
		desc := putManifest(t, s, nginx, name)
		body, _, err := s.ReadManifest(t.Context(), nginx, desc.Digest)
		wantNone(t, err)
		before := len(d.list())
		wantNone(t, s.writer.put(t.Context(), blobPath(desc.Digest), corrupt(body)))
		_, _, err = s.ReadManifest(t.Context(), nginx, desc.Digest)
		wantMissing(t, err)
		wantEqual(t, d.list()[before:], []digest.Digest{desc.Digest})
		_, err = s.StatBlob(t.Context(), desc.Digest)
		wantMissing(t, err)
		putManifest(t, s, nginx, name)
		_, _, err = s.ReadManifest(t.Context(), nginx, desc.Digest)
		wantNone(t, err)
	}
}
