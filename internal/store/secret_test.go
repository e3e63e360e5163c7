package store

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/go-logr/logr"
)

func TestStore_SecretIsMadeOnceAndItsOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := openStore(t, Options{Data: dir})
	key, err := s.Secret(t.Context(), "grants")
	if err != nil || len(key) != secretSize {
		t.Fatalf("Secret = %d bytes, %v", len(key), err)
	}
	other, err := s.Secret(t.Context(), "other")
	if err != nil || bytes.Equal(key, other) {
		t.Errorf("two secrets are one (%v)", err)
	}
	again, _ := openStore(t, Options{Data: dir})
	if got, err := again.Secret(t.Context(), "grants"); err != nil || !bytes.Equal(got, key) {
		t.Errorf("the secret is another one after a start (%v)", err)
	}
	info, err := os.Stat(filepath.Join(dir, secretsRoot, "grants"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file is %v, %v, want it to be read by its owner alone", info.Mode(), err)
	}
}

// late is a driver whose writes take their time.
type late struct {
	storagedriver.StorageDriver
	by time.Duration
}

func (l late) Name() string { return s3Driver }

func (l late) PutContent(ctx context.Context, path string, content []byte) error {
	if strings.HasPrefix(path, secretsRoot) {
		time.Sleep(l.by)
	}
	return l.StorageDriver.PutContent(ctx, path, content)
}

// TestStore_SecretIsOneForAllReplicas: replicas that start on an empty bucket at the same moment, each at its own pace, come to one key.
func TestStore_SecretIsOneForAllReplicas(t *testing.T) {
	t.Parallel()
	for name, paces := range map[string][]time.Duration{
		"At once":                       {0, 0, 0},
		"One writes later":              {0, time.Second},
		"One is stopped for a minute":   {0, time.Minute},
		"The first to look writes last": {4 * time.Second, 0, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bucket := inmemory.New()
				stores, keys := make([]*Store, len(paces)), make([][]byte, len(paces))
				for i, pace := range paces {
					driver := late{bucket, pace}
					var err error
					if stores[i], err = newStore(backend{driver, newObjects(driver, logr.Discard()), t.TempDir(), sharedLinkTTL}, Options{}); err != nil {
						t.Fatal(err)
					}
				}
				var wg sync.WaitGroup
				for i, s := range stores {
					wg.Go(func() {
						var err error
						if keys[i], err = s.Secret(t.Context(), "grants"); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				for i, s := range stores {
					if kept, err := s.Secret(t.Context(), "grants"); err != nil || !bytes.Equal(kept, keys[0]) || !bytes.Equal(keys[i], keys[0]) {
						t.Errorf("replica %d has %x, and finds %x, %v; another one has %x", i, keys[i], kept, err, keys[0])
					}
				}
			})
		})
	}
}
