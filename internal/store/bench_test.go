package store

import (
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func BenchmarkLinkedBlob(b *testing.B) {
	s, _ := openStore(b, Options{})
	dgst := commit(b, s, []byte("layer"))
	if err := s.LinkBlob(b.Context(), nginx, ocispec.Descriptor{Digest: dgst, Size: 5}); err != nil {
		b.Fatal(err)
	}
	read := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.LinkedBlob(b.Context(), nginx, dgst); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("memory", read)
	s.links.ttl = -1
	s.links.lru.Purge()
	b.Run("disk", read)
}

func BenchmarkOpenBlob(b *testing.B) {
	s, _ := openStore(b, Options{})
	dgst := commit(b, s, []byte("layer"))
	b.ReportAllocs()
	for b.Loop() {
		blob, err := s.OpenBlob(b.Context(), dgst, 5)
		if err != nil {
			b.Fatal(err)
		}
		if err := blob.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTag(b *testing.B) {
	s, _ := openStore(b, Options{})
	desc := putManifest(b, s, nginx, "bench")
	rec := TagRecord{Digest: desc.Digest, CheckedAt: time.Now(), History: make([]Revision, 5)}
	if err := s.PutTag(b.Context(), nginx, "1", rec); err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Tag(b.Context(), nginx, "1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			if err := s.PutTag(b.Context(), nginx, "1", rec); err != nil {
				b.Fatal(err)
			}
		}
	})
}
