package cache

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/origin"
)

// notices counts what OnTag is told.
type notices struct {
	mu    sync.Mutex
	count map[tagKey]int
}

func newNotices() *notices { return &notices{count: map[tagKey]int{}} }

func (n *notices) add(repo imageref.Repository, tag string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count[tagKey{repo, tag}]++
}

// take returns how often a tag was told since the last call.
func (n *notices) take(key tagKey) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := n.count[key]
	n.count[key] = 0
	return count
}

func TestOnTag_T5_IsToldWhatImageTells(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	n, key := newNotices(), tagKey{repository("app"), "1"}
	f.options.OnTag = func(repo imageref.Repository, tag string) {
		l := f.tagLock(tagKey{repo, tag})
		l.Lock() // no lock is held: else the test ends here
		f.checks.mu.Lock()
		f.checks.mu.Unlock() //nolint:staticcheck // it is free, that is all
		l.Unlock()
		n.add(repo, tag)
	}
	f.restart(t)
	f.policies.set(Policy{Check: true, Interval: time.Minute})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	var fault *origin.Fault
	for _, step := range []struct {
		what string
		do   func()
		told bool
	}{
		{"first stored by a pull", func() { f.resolve(t, "app", "1") }, true},
		{"pulled again", func() { f.pull(t, "app", "1") }, false},
		{"complete", func() { f.mirror(t, "app:1") }, true},
		{"mirrored again", func() { f.mirror(t, "app:1") }, false},
		{"answered", func() { f.clock.advance(time.Minute); f.resolve(t, "app", "1") }, true},
		{"failed", func() {
			fault = f.origin.Fail(origin.Manifests(), origin.Status(http.StatusNotFound))
			f.clock.advance(time.Minute)
			f.resolve(t, "app", "1")
		}, true},
		{"held", func() { f.resolve(t, "app", "1") }, false},
		{"answered, forced, in the same moment", func() { fault.Heal(); f.check(t, "app:1") }, true},
		{"moved", func() {
			f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
			f.clock.advance(time.Minute)
			f.resolve(t, "app", "1")
		}, true},
		{"untagged", func() { f.untag(t, "app:1") }, true},
		{"untagged again", func() { f.untag(t, "app:1") }, false},
		{"refused for a tombstone", func() { f.origin.Refuse(); f.resolve(t, "app", "1") }, true},
		{"brought back", func() { f.origin.Heal(); f.mirror(t, "app:1") }, true},
		{"by digest", func() { f.pull(t, "app", string(f.image(t, "app:1").Digest)) }, false},
	} {
		step.do()
		eventually(t, "idle", f.idle)
		if step.what == "moved" { // its mirror runs in the background
			f.awaitMirror(t, key)
			if told := n.take(key); told != 2 {
				t.Errorf("%s: told %d times, want twice: that it moved, and that it is complete", step.what, told)
			}
			continue
		}
		if told := n.take(key); (told > 0) != step.told {
			t.Errorf("%s: told %d times, want told: %v", step.what, told, step.told)
		}
	}
}

func TestOnTag_M5_IsToldOfWhatExpires(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	n, key := newNotices(), tagKey{repository("app"), "1"}
	f.options.ExpiryDelay, f.options.OnTag = 24*time.Hour, n.add
	f.restart(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.clock.advance(24 * time.Hour)
	n.take(key)
	f.expireAll(t)
	if told := n.take(key); told != 1 {
		t.Errorf("told %d times, want once", told)
	}
}

func TestOnTag_T3_IsToldAlsoWhereTheDiskIsFull(t *testing.T) {
	t.Parallel()
	onDisk(t)
	f := newFixture(t)
	n, key := newNotices(), tagKey{repository("app"), "1"}
	f.options.OnTag = n.add
	f.restart(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.breakWrites(t)
	f.clock.advance(time.Minute)
	n.take(key)
	f.check(t, "app:1")
	if told := n.take(key); told != 1 {
		t.Errorf("told %d times, want once", told)
	}
	if got := f.image(t, "app:1"); !got.CheckedAt.Equal(f.clock.now()) {
		t.Errorf("got %+v, want the answer of %s", got, f.clock.now())
	}
}
