package debian

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entry is what of a tar header matters here.
type entry struct {
	Type byte
	Link string
	Body string
}

func unpack(t *testing.T, tr tree) map[string]entry {
	t.Helper()
	layer, err := tr.pack(filepath.Join(t.TempDir(), "layer.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	got := map[string]entry{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(epoch) {
			t.Errorf("%s has the time %v", h.Name, h.ModTime)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = entry{h.Typeflag, h.Linkname, string(body)}
	}
}

func sampleRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"etc", "usr/bin", "dev/pts", "debootstrap"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range map[string]string{
		"etc/passwd": "root", "usr/bin/perl": "perl", "dev/null": "", "debootstrap/log": "x",
	} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.Symlink("usr/bin", filepath.Join(root, "bin")),
		os.Link(filepath.Join(root, "usr/bin/perl"), filepath.Join(root, "usr/bin/perl5")),
	); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestPack_SplitsTheRootIntoLayers(t *testing.T) {
	t.Parallel()
	root := sampleRoot(t)
	dir := entry{Type: tar.TypeDir}
	for name, tc := range map[string]struct {
		tree tree
		want map[string]entry
	}{
		"all but what is elsewhere": {
			tree{root: root, skip: []string{"usr", "debootstrap", "dev"}},
			map[string]entry{
				"etc/": dir, "dev/": dir,
				"etc/passwd": {Type: tar.TypeReg, Body: "root"},
				"bin":        {Type: tar.TypeSymlink, Link: "usr/bin"},
			},
		},
		"one folder": {
			tree{root: root, only: "usr"},
			map[string]entry{
				"usr/": dir, "usr/bin/": dir,
				"usr/bin/perl":  {Type: tar.TypeReg, Body: "perl"},
				"usr/bin/perl5": {Type: tar.TypeLink, Link: "usr/bin/perl"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, unpack(t, tc.tree)); diff != "" {
				t.Errorf("layer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPack_IsReproducible(t *testing.T) {
	t.Parallel()
	pack := func() string {
		layer, err := tree{root: sampleRoot(t)}.pack(filepath.Join(t.TempDir(), "layer.tar.gz"))
		if err != nil {
			t.Fatal(err)
		}
		digest, err := layer.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return digest.String()
	}
	if a, b := pack(), pack(); a != b {
		t.Errorf("two packings of the same files: %s and %s", a, b)
	}
}
