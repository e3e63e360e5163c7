package debian

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch is the time of every file, and of the image.
var epoch = time.Unix(0, 0).UTC()

// tree is what of a folder becomes a layer.
type tree struct {
	root string
	only string   // one entry of root; empty: all
	skip []string // entries of root that are left empty
}

// pack writes the tree as a layer to path.
func (t tree) pack(path string) (v1.Layer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	zipped := gzip.NewWriter(f)
	p := &packer{out: tar.NewWriter(zipped), linked: map[uint64]string{}}
	if err := errors.Join(t.walk(p), p.out.Close(), zipped.Close(), f.Close()); err != nil {
		return nil, err
	}
	return tarball.LayerFromFile(path, tarball.WithMediaType(types.OCILayer))
}

func (t tree) walk(p *packer) error {
	return filepath.WalkDir(filepath.Join(t.root, t.only), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(t.root, path)
		if err != nil || name == "." {
			return err
		}
		if top, _, below := strings.Cut(name, "/"); slices.Contains(t.skip, top) {
			if below || top == "debootstrap" || top == "usr" {
				return skip(entry)
			}
		}
		return p.add(path, name, entry)
	})
}

func skip(entry fs.DirEntry) error {
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// packer writes files in the order in which it gets them.
type packer struct {
	out    *tar.Writer
	linked map[uint64]string // by inode, of files with several names
}

func (p *packer) add(path, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	header, err := p.header(path, name, info)
	if err != nil {
		return err
	}
	if err := p.out.WriteHeader(header); err != nil {
		return fmt.Errorf("adding %s: %w", name, err)
	}
	if header.Typeflag != tar.TypeReg || header.Size == 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(p.out, f)
	return errors.Join(err, f.Close())
}

func (p *packer) header(path, name string, info fs.FileInfo) (*tar.Header, error) {
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = os.Readlink(path); err != nil {
			return nil, err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return nil, err
	}
	header.Name = name
	if info.IsDir() {
		header.Name += "/"
	}
	header.ModTime, header.AccessTime, header.ChangeTime = epoch, time.Time{}, time.Time{}
	header.Uname, header.Gname = "", ""
	if first := p.first(name, info); first != "" {
		header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
	}
	return header, nil
}

// first returns the name under which the same file was added before.
func (p *packer) first(name string, info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || stat.Nlink < 2 {
		return ""
	}
	if first, ok := p.linked[stat.Ino]; ok {
		return first
	}
	p.linked[stat.Ino] = name
	return ""
}
