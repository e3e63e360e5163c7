package store

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// BenchmarkSweep marks a store of LARDER_BLOBS small blobs (100,000 without it) twice and deletes the half of them that nothing reaches.
// It tells how long that took and how large the heap became.
func BenchmarkSweep(b *testing.B) {
	blobs, err := strconv.Atoi(os.Getenv("LARDER_BLOBS"))
	if err != nil {
		blobs = 100_000
	}
	for b.Loop() {
		b.StopTimer()
		s, _ := openStore(b, Options{Data: b.TempDir()})
		fill(b, s, blobs)
		peak, stop := watchHeap()
		b.StartTimer()
		began := time.Now()
		report, err := s.Sweep(b.Context(), SweepOptions{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/sweep")
		stop()
		b.ReportMetric(float64(peak.Load())/(1<<20), "MiB-heap")
		b.ReportMetric(float64(report.Freed.Blobs), "blobs-freed")
		b.ReportMetric(float64(report.Blobs), "blobs-kept")
	}
}

// layersInImage is how many blobs each image of the benchmark has, its manifest among them.
const layersInImage = 10

// fill writes images of which every other has a tag, a hundred to a repository. It writes past the store: nothing needs to survive a power cut.
func fill(b testing.TB, s *Store, blobs int) {
	b.Helper()
	root := s.writer.(*disk).root
	write := func(path string, content []byte) {
		name := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	blob := func(content []byte) ocispec.Descriptor {
		dgst := digest.NewDigestFromBytes(digest.SHA256, sum(content))
		write(blobPath(dgst), content)
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: dgst, Size: int64(len(content))}
	}
	for image := range blobs / layersInImage {
		repo := imageref.Repository{Host: "reg.example", Path: fmt.Sprintf("team/app%d", image/100)}
		m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
		for layer := range layersInImage - 1 {
			desc := blob(fmt.Appendf(nil, "%d.%d", image, layer))
			link, _, _ := linkPaths(repo, blobLink, desc.Digest)
			write(link, []byte(desc.Digest))
			m.Layers = append(m.Layers, desc)
		}
		m.Config, m.Layers = m.Layers[0], m.Layers[1:]
		body, err := json.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		desc := blob(body)
		link, _, _ := linkPaths(repo, manifestLink, desc.Digest)
		write(link, []byte(desc.Digest))
		if image%2 == 0 {
			paths, _ := pathsOfTag(repo, strconv.Itoa(image))
			write(paths.current, []byte(desc.Digest))
		}
	}
}

func sum(content []byte) []byte {
	s := sha256.Sum256(content)
	return s[:]
}

// watchHeap follows how large the heap becomes until it is stopped.
func watchHeap() (peak *atomic.Uint64, stop func()) {
	peak = &atomic.Uint64{}
	runtime.GC()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			peak.Store(max(peak.Load(), stats.HeapInuse))
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
	return peak, func() { close(end); <-ended }
}
