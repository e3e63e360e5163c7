package cache

import (
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// readerFunc is a stream of one function.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestClose_P4_WaitsForTheWorkOfOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	began := make(chan struct{})
	var ended atomic.Bool
	layout := readerFunc(func([]byte) (int, error) {
		close(began)
		<-f.ctx.Done()
		for range 1000 {
			runtime.Gosched()
		}
		ended.Store(true)
		return 0, io.ErrUnexpectedEOF
	})
	var working sync.WaitGroup
	working.Go(func() {
		if err := f.Import(t.Context(), layout, func(imageref.Reference, digest.Digest) {}); err == nil {
			t.Error("a layout that was cut off was imported")
		}
	})
	<-began
	f.Close()
	if !ended.Load() {
		t.Error("Close returned while an import was running: the folder would be another process's")
	}
	working.Wait()
}
