package logging_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-dev/larder/internal/logging"
)

// file is a log file that may be full, and counts how often it is written and synced.
type file struct {
	mu            sync.Mutex
	text          bytes.Buffer
	full          bool
	writes, syncs int
}

func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.full {
		return 0, errors.New("no space left on device")
	}
	return f.text.Write(p)
}

func (f *file) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syncs++
	return nil
}

func (f *file) empty() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = false
}

// has checks which lines were written, by how many writes.
func (f *file) has(t *testing.T, lines string, writes int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := messages(t, &f.text); got != lines || f.writes != writes || f.syncs != 0 {
		t.Errorf("got %q by %d writes and %d syncs, want %q by %d writes and no sync", got, f.writes, f.syncs, lines, writes)
	}
}

func buffered(t *testing.T, f *file) (log func(line string), stop func()) {
	t.Helper()
	out, stop := logging.Buffered(f)
	logger, err := logging.New("info", "json", out)
	if err != nil {
		t.Fatal(err)
	}
	return func(line string) { logger.Info(line) }, stop
}

func TestBuffered_WritesManyLinesAtOnceAndSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f file
		log, stop := buffered(t, &f)
		defer stop()
		log("one")
		log("two")
		f.has(t, "", 0)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		f.has(t, "one,two", 1)
	})
}

func TestBuffered_StopWritesWhatIsLeft(t *testing.T) {
	t.Parallel()
	var f file
	log, stop := buffered(t, &f)
	log("last")
	stop()
	f.has(t, "last", 1)
}

func TestBuffered_GoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := file{full: true}
		log, stop := buffered(t, &f)
		log("lost")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		f.empty()
		log("kept")
		stop()
		f.has(t, "kept", 2)
	})
}
