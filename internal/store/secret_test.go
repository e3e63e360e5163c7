package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
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
