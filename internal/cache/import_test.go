package cache

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/layout"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/opencontainers/go-digest"
)

// layoutOf is a layout of a stored image under another name.
func (f *fixture) layoutOf(t *testing.T, img origin.Image, name string) io.Reader {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	w, err := layout.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, desc := range append(img.Blobs, img.Descriptor) {
		blob, err := f.options.Store.OpenBlob(t.Context(), desc.Digest, desc.Size)
		if err != nil {
			t.Fatal(err)
		}
		defer blob.Close()
		if err := w.Blob(desc.Digest, desc.Size, blob); err != nil {
			t.Fatal(err)
		}
	}
	w.Image(layout.Named(reference(t, name), img.Descriptor))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(content)
}

// steps calls each as a stream is read: between its bytes.
type steps struct {
	io.Reader
	step func()
}

func (s *steps) Read(p []byte) (int, error) {
	s.step()
	return s.Reader.Read(p[:min(len(p), 512)])
}

func TestImport_M4_ASweepTakesNothingOfIt(t *testing.T) {
	t.Parallel()
	from, f := newFixture(t), newFixture(t)
	img := from.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	from.mirror(t, "app:1")
	f.origin.Refuse()
	layout := &steps{from.layoutOf(t, img, "app:1"), func() { f.sweep(t, 0) }}
	if err := f.Import(t.Context(), layout, func(imageref.Reference, digest.Digest) {}); err != nil {
		t.Fatal(err)
	}
	f.sweep(t, 0)
	f.pull(t, "app", "1")
	f.untag(t, "app:1")
	if got := f.sweep(t, 0); got.Freed.Blobs != 3 {
		t.Errorf("swept %+v, want three blobs: none is pinned any more", got.Freed)
	}
}

func TestImport_WhatComesByItsDigestIsKept(t *testing.T) {
	t.Parallel()
	from, f := newFixture(t), newFixture(t)
	img := from.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	from.mirror(t, "app:1")
	f.origin.Refuse()
	err := f.Import(t.Context(), from.layoutOf(t, img, "app@"+string(img.Digest)), func(imageref.Reference, digest.Digest) {})
	if err != nil {
		t.Fatal(err)
	}
	f.sweep(t, 0)
	f.pullDigest(t, "app", img.Descriptor)
}
