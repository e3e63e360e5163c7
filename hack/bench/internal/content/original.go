package content

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Original is a blob's content in memory, to compare answers with. That is cheaper than hashing, and tells as much.
type Original []byte

// Open maps a blob's file. The caller closes it.
func Open(b Blob) (Original, error) {
	file, err := os.Open(b.File)
	if err != nil {
		return nil, fmt.Errorf("opening the original: %w", err)
	}
	defer file.Close()
	mapped, err := unix.Mmap(int(file.Fd()), 0, int(b.Size), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("mapping the original: %w", err)
	}
	return mapped, nil
}

// Close unmaps the content.
func (o Original) Close() error { return unix.Munmap(o) }

// Compare reads a body to its end by way of buffer. It returns when the first byte came, and an error where the body is not the
// original.
func (o Original) Compare(body io.Reader, buffer []byte) (first time.Time, err error) {
	rest := o
	for {
		n, err := body.Read(buffer)
		if n > 0 && first.IsZero() {
			first = time.Now()
		}
		if n > len(rest) || !bytes.Equal(rest[:n], buffer[:n]) {
			return first, fmt.Errorf("a wrong byte after byte %d", len(o)-len(rest))
		}
		rest = rest[n:]
		switch {
		case errors.Is(err, io.EOF) && len(rest) == 0:
			return first, nil
		case errors.Is(err, io.EOF):
			return first, fmt.Errorf("%d bytes of %d: %w", len(o)-len(rest), len(o), io.ErrUnexpectedEOF)
		case err != nil:
			return first, err
		}
	}
}
