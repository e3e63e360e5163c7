package layout

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Writer writes one layout. One goroutine uses it.
type Writer struct {
	sink    sink
	written map[digest.Digest]bool
	index   ocispec.Index
}

// sink takes files.
type sink interface {
	file(name string, size int64, content io.Reader) error
	end() error
	discard() error // everything that was written
}

// Create begins a layout: a tar file where the path ends in .tar, else a folder, which is made. What is there already is not
// overwritten.
func Create(path string) (*Writer, error) {
	s, err := createSink(path)
	if err != nil {
		return nil, fmt.Errorf("creating %s: %w", path, err)
	}
	w := &Writer{sink: s, written: map[digest.Digest]bool{}}
	w.index.SchemaVersion, w.index.MediaType = 2, ocispec.MediaTypeImageIndex
	return w, w.json(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
}

func createSink(path string) (sink, error) {
	switch filepath.Ext(path) {
	case ".tgz", ".gz", ".zst":
		return nil, errors.New("a layout is not compressed, as its layers are already: name a file that ends in .tar, or a folder")
	}
	if strings.HasSuffix(path, ".tar") {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, os.ErrExist) {
			err = errors.New("it is there already: remove it, or name another")
		}
		if err != nil {
			return nil, err
		}
		return &archive{file, tar.NewWriter(file)}, nil
	}
	if entries, err := os.ReadDir(path); err == nil && len(entries) > 0 {
		return nil, errors.New("the folder is not empty: name another, or a file that ends in .tar")
	}
	return folder(path), os.MkdirAll(path, 0o755)
}

// Has says whether a blob was written.
func (w *Writer) Has(dgst digest.Digest) bool { return w.written[dgst] }

// Blob writes a blob or manifest of size bytes.
func (w *Writer) Blob(dgst digest.Digest, size int64, content io.Reader) error {
	w.written[dgst] = true
	if err := w.sink.file(blobs+dgst.Algorithm().String()+"/"+dgst.Encoded(), size, content); err != nil {
		return fmt.Errorf("writing blob %s: %w", dgst, err)
	}
	return nil
}

// Image lists an image whose blobs were written, as Named describes it.
func (w *Writer) Image(desc ocispec.Descriptor) { w.index.Manifests = append(w.index.Manifests, desc) }

// Close completes the layout: index.json comes last, so that a layout that was cut off is none.
func (w *Writer) Close() error {
	return errors.Join(w.json(ocispec.ImageIndexFile, w.index), w.sink.end())
}

// Discard removes what was written of a layout that cannot be completed.
func (w *Writer) Discard() error { return w.sink.discard() }

func (w *Writer) json(name string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.sink.file(name, int64(len(content)), strings.NewReader(string(content)))
}

type folder string

func (f folder) file(name string, size int64, content io.Reader) error {
	name = filepath.Join(string(f), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, content)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, file.Close())
}

func (folder) end() error { return nil }

// discard leaves a folder that was there before, which was empty.
func (f folder) discard() error {
	var errs []error
	for _, name := range []string{path.Clean(blobs), ocispec.ImageLayoutFile, ocispec.ImageIndexFile} {
		errs = append(errs, os.RemoveAll(filepath.Join(string(f), name)))
	}
	return errors.Join(errs...)
}

type archive struct {
	to  *os.File
	tar *tar.Writer
}

func (a *archive) file(name string, size int64, content io.Reader) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: path.Clean(name), Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)}
	if err := a.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(a.tar, content)
	return err
}

func (a *archive) end() error { return errors.Join(a.tar.Close(), a.to.Close()) }

func (a *archive) discard() error { return errors.Join(a.to.Close(), os.Remove(a.to.Name())) }
