package store

import (
	"context"
	"strings"
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// watchman is a driver that counts how often a tag's folder is listed while writers wait.
type watchman struct {
	storagedriver.StorageDriver
	gate *gate
	shut int // how often
}

func (w *watchman) closed() bool {
	if w.gate.TryRLock() {
		w.gate.RUnlock()
		return false
	}
	return true
}

func (w *watchman) List(ctx context.Context, path string) ([]string, error) {
	if strings.Contains(path, "_manifests/tags/") && w.closed() {
		w.shut++
	}
	return w.StorageDriver.List(ctx, path)
}

func TestGate_IsOpenWhileTheSweepLists(t *testing.T) {
	t.Parallel()
	forEachDriver(t, func(t *testing.T, s *Store) {
		old := putImage(t, s, nginx, nil, "old")
		img := putImage(t, s, nginx, nil, "config")
		for _, tag := range []string{"1", "2", "3"} {
			putTag(t, s, nginx, tag, TagRecord{Digest: old.desc.Digest})
			putTag(t, s, nginx, tag, TagRecord{Digest: img.desc.Digest})
		}
		w := &watchman{StorageDriver: s.driver, gate: &s.gate}
		s.driver = w
		sweepNow(t, s, SweepOptions{})
		wantImage(t, s, nginx, old, false)
		wantEqual(t, w.shut, 0)
		paths, err := pathsOfTag(nginx, "1")
		wantNone(t, err)
		there, err := s.exists(t.Context(), paths.index(old.desc.Digest))
		wantNone(t, err)
		wantEqual(t, there, false)
	})
}
