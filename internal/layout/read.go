package layout

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Open returns a layout, a folder or a tar file, as a tar stream.
func Open(path string) (io.ReadCloser, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening a layout: %w", err)
	}
	if !info.IsDir() {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("opening a layout: %w", err)
		}
		return file, nil
	}
	out, in := io.Pipe()
	go func() {
		w := tar.NewWriter(in)
		in.CloseWithError(errors.Join(w.AddFS(os.DirFS(path)), w.Close()))
	}()
	return out, nil
}

// Read calls blob for each blob of a layout, in the order of the stream and with all that blob does not read skipped, and returns its
// index.json. It verifies nothing: the digest is that of the file's name.
func Read(r io.Reader, blob func(dgst digest.Digest, size int64, content io.Reader) error) (ocispec.Index, error) {
	var index *ocispec.Index
	for files := tar.NewReader(r); ; {
		header, err := files.Next()
		switch {
		case errors.Is(err, io.EOF) && index == nil:
			return ocispec.Index{}, errors.New("this is no OCI layout: it has no index.json")
		case errors.Is(err, io.EOF):
			return *index, nil
		case err != nil:
			return ocispec.Index{}, fmt.Errorf("reading a layout: %w", err)
		case header.Typeflag != tar.TypeReg:
			continue
		}
		switch name := path.Clean(header.Name); {
		case name == ocispec.ImageIndexFile:
			index = &ocispec.Index{}
			err = json.NewDecoder(io.LimitReader(files, maxIndex)).Decode(index)
		case strings.HasPrefix(name, blobs):
			err = readBlob(name, header.Size, files, blob)
		}
		if err != nil {
			return ocispec.Index{}, fmt.Errorf("reading %s: %w", header.Name, err)
		}
	}
}

func readBlob(name string, size int64, content io.Reader, blob func(digest.Digest, int64, io.Reader) error) error {
	dgst, err := imageref.ParseDigest(strings.Replace(strings.TrimPrefix(name, blobs), "/", ":", 1))
	if err != nil {
		return err
	}
	return blob(dgst, size, content)
}
