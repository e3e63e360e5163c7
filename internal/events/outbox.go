package events

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/larder-dev/larder/internal/durable"
)

const (
	suffix  = ".json"
	digits  = 19      // of the largest number
	largest = 8 << 10 // bytes of an event; names of images are shorter
)

// outbox is a folder of events that wait, a file each, in the order of their numbers. What add has returned from survives a power cut.
type outbox struct {
	dir   string
	limit int
	more  chan struct{} // holds one signal that there is something

	mu      sync.Mutex
	waiting []int64 // in order
	last    int64
	sending bool // the first is being sent
}

func openOutbox(dir string, limit int) (*outbox, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the folder of events: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the folder of events: %w", err)
	}
	b := &outbox{dir: dir, limit: limit, more: make(chan struct{}, 1)}
	for _, entry := range entries {
		if number, ok := numberOf(entry.Name()); ok {
			b.waiting = append(b.waiting, number)
		} else if strings.HasSuffix(entry.Name(), suffix+".new") {
			_ = os.Remove(filepath.Join(dir, entry.Name())) // never finished
		}
	}
	if slices.Sort(b.waiting); len(b.waiting) > 0 {
		b.last = b.waiting[len(b.waiting)-1]
		b.signal()
	}
	return b, nil
}

// add appends an event that encode makes for its number, and says whether the oldest one went to make room for it.
func (b *outbox) add(now time.Time, encode func(number int64) ([]byte, error)) (dropped bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	number := max(b.last+1, now.UnixNano()) // goes on rising where the folder was lost
	content, err := encode(number)
	if err != nil {
		return false, err
	}
	if len(content) > largest {
		return false, fmt.Errorf("an event of %d bytes: %w", len(content), errTooLarge)
	}
	if err := durable.Replace(b.path(number), content); err != nil {
		return false, fmt.Errorf("keeping an event: %w", err)
	}
	b.last, b.waiting = number, append(b.waiting, number)
	if len(b.waiting) > b.limit {
		b.dropOldest()
		dropped = true
	}
	b.signal()
	return dropped, nil
}

var errTooLarge = errors.New("too large")

// dropOldest removes the oldest event that is not being sent. Its caller holds the lock.
func (b *outbox) dropOldest() {
	oldest := 0
	if b.sending {
		oldest = 1
	}
	_ = os.Remove(b.path(b.waiting[oldest]))
	b.waiting = slices.Delete(b.waiting, oldest, oldest+1)
}

// first returns the oldest event, which is being sent from then on, until done; nil where there is none. One that cannot be read is
// an error, and done too.
func (b *outbox) first() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return nil, nil
	}
	b.sending = true
	content, err := os.ReadFile(b.path(b.waiting[0]))
	if err != nil {
		return nil, fmt.Errorf("reading an event: %w", err)
	}
	return content, nil
}

// done removes the event that was being sent. That it comes back by a power cut is no harm: it is then sent twice.
func (b *outbox) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = os.Remove(b.path(b.waiting[0]))
	b.waiting, b.sending = b.waiting[1:], false
}

func (b *outbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}

func (b *outbox) signal() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

func (b *outbox) path(number int64) string { return filepath.Join(b.dir, nameOf(number)+suffix) }

func nameOf(number int64) string { return fmt.Sprintf("%0*d", digits, number) }

func numberOf(name string) (int64, bool) {
	text, ok := strings.CutSuffix(name, suffix)
	if !ok || len(text) != digits {
		return 0, false
	}
	number, err := strconv.ParseInt(text, 10, 64)
	return number, err == nil && number >= 0
}

// missing says that a file went by another hand.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
