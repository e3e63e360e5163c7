// Package hosts keeps containerd's hosts.toml that leads every pull of a node through Larder first (mirror mode). It touches no file that
// somebody else wrote, and no registry's own folder.
package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
)

const (
	mark = "# Written by larder-proxy, and removed when it stops: changes are lost.\n"
	// assertEvery is how often the file is looked at: the pod before this one removes it when it stops, after this one wrote it.
	assertEvery = 2 * time.Second
)

// ErrForeign says that the file is somebody else's.
var ErrForeign = errors.New("not written by Larder, and left as it is: containerd does not ask Larder on this node")

// File is the hosts.toml of every registry that has none of its own.
type File struct {
	path    string
	content []byte
}

// New returns the file below containerd's folder of registries (config_path) that names a proxy, a host:port.
func New(dir, proxy string) *File {
	return &File{
		path:    filepath.Join(dir, "_default", "hosts.toml"),
		content: fmt.Appendf(nil, "%s[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", mark, "http://"+proxy),
	}
}

// Keep writes the file, writes it again where it goes missing, and removes it when ctx ends. That it is somebody else's, or cannot be
// written, is logged when it begins and tried again: it is no reason to end.
func (f *File) Keep(ctx context.Context, log logr.Logger) error {
	log = log.WithValues("file", f.path)
	tick := time.NewTicker(assertEvery)
	defer tick.Stop()
	said := ""
	for {
		err := f.Write()
		switch now := fmt.Sprint(err); {
		case now == said:
		case err != nil:
			log.Error(err, "containerd is not led to Larder")
			said = now
		default:
			log.Info("containerd is led to Larder")
			said = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return f.Remove()
		}
	}
}

// Write writes the file where it is missing or differs. A file that is somebody else's is ErrForeign.
func (f *File) Write() error {
	text, err := f.read()
	switch {
	case err != nil, bytes.Equal(text, f.content):
		return err
	case text != nil && !ours(text):
		return fmt.Errorf("%s: %w", f.path, ErrForeign)
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return fmt.Errorf("writing hosts.toml: %w", err)
	}
	return f.replace()
}

// replace writes beside the file and renames: containerd reads it at any time.
func (f *File) replace() error {
	next, err := os.CreateTemp(filepath.Dir(f.path), ".larder-*")
	if err != nil {
		return fmt.Errorf("writing hosts.toml: %w", err)
	}
	_, err = next.Write(f.content)
	err = errors.Join(err, next.Chmod(0o644), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), f.path)
	}
	if err != nil {
		_ = os.Remove(next.Name()) // it is gone where the rename succeeded
		return fmt.Errorf("writing hosts.toml: %w", err)
	}
	return nil
}

// Remove removes the file if Larder wrote it, and its folder if that is empty then.
func (f *File) Remove() error {
	text, err := f.read()
	if err != nil || !ours(text) {
		return err
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing hosts.toml: %w", err)
	}
	_ = os.Remove(filepath.Dir(f.path)) // other files may be in it
	return nil
}

// read returns the file's text; it is nil where there is no file.
func (f *File) read() ([]byte, error) {
	text, err := os.ReadFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading hosts.toml: %w", err)
	}
	return text, nil
}

func ours(text []byte) bool { return bytes.HasPrefix(text, []byte(mark)) }
