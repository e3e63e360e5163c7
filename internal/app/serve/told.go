package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/durable"
	"github.com/larder-dev/larder/internal/events"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
)

// known is what was told of a tag.
type known struct {
	Digest digest.Digest `json:"digest"`
	Cached bool          `json:"cached,omitempty"` // stored whole
	Gone   bool          `json:"gone,omitempty"`   // its origin has it no more
	Stale  string        `json:"stale,omitempty"`  // why its origin does not confirm it
	Pinned bool          `json:"pinned,omitempty"`
	Held   digest.Digest `json:"held,omitempty"` // what its origin has, of an immutable tag that was moved
	At     time.Time     `json:"at"`             // when it was told: what tells one change from the same one later
	image  cache.Image   // of which it is known
}

// reasons are those of the conditions of CachedImages, by what went wrong at an origin.
var reasons = map[upstream.Reason]string{
	upstream.RateLimited: "RateLimited", upstream.Denied: "Denied", upstream.Refused: "Refused",
}

func knownOf(image cache.Image) known {
	k := known{Digest: image.Digest, Cached: image.Complete, Pinned: image.Pin.By != "", image: image}
	if image.Moved {
		k.Held = image.Upstream
	}
	origin, failedThere := errors.AsType[*upstream.Error](image.Problem)
	switch {
	case failedThere && origin.Reason == upstream.NotFound:
		k.Gone = true
	case failedThere && reasons[origin.Reason] != "":
		k.Stale = reasons[origin.Reason]
	case image.Problem != nil:
		k.Stale = "OriginFailed"
	case !k.behind() || k.Held != "":
	case k.Pinned:
		k.Stale = "Pinned"
	default:
		k.Stale = "Moved"
	}
	return k
}

// behind says whether the origin has another revision.
func (k *known) behind() bool { return k.image.Upstream != "" && k.image.Upstream != k.Digest }

// same says whether nothing changed that is told of.
func (k *known) same(now *known) bool {
	return k.Digest == now.Digest && k.Cached == now.Cached && k.Gone == now.Gone && k.Stale == now.Stale && k.Pinned == now.Pinned && k.Held == now.Held
}

// step is what changed of an image from before to after.
type step struct {
	ref           imageref.Reference
	before, after known
	now           time.Time
	told          []events.Change
}

// changes lists what changed from what was known to after. A tag of which nothing was told has nothing but that it is mirrored.
func (k *known) changes(ref imageref.Reference, after known, now time.Time) []events.Change {
	s := step{ref: ref, before: *k, after: after, now: now}
	s.moved()
	s.held()
	s.confirmed()
	s.origin()
	return s.told
}

func (s *step) tell(c events.Change) {
	c.Image, c.Digest, c.At = s.ref.String(), s.after.Digest, s.now
	c.ID = events.ID(string(c.Kind), c.Image, s.before.At.UTC().String(), string(s.before.Digest), string(c.Digest))
	s.told = append(s.told, c)
}

func (s *step) moved() {
	another := s.before.Digest != s.after.Digest
	if s.before.Digest != "" && another {
		s.tell(events.Change{Kind: events.Moved, Previous: s.before.Digest})
	}
	if s.after.Cached && (!s.before.Cached || another) {
		s.tell(events.Change{Kind: events.Mirrored, Bytes: s.after.image.Size})
	}
}

// held is about tags that are where somebody has them, and not where their origin is.
func (s *step) held() {
	switch {
	case s.after.Pinned && (!s.before.Pinned || s.before.Digest != s.after.Digest):
		s.tell(events.Change{Kind: events.Pinned, Previous: s.before.Digest})
	case s.before.Pinned && !s.after.Pinned:
		s.tell(events.Change{Kind: events.Unpinned})
	}
	if s.after.Held != "" && s.before.Held != s.after.Held {
		s.tell(events.Change{Kind: events.Held, Upstream: s.after.Held})
	}
}

func (s *step) confirmed() {
	switch {
	case s.after.Stale != "" && s.before.Stale == "":
		c := events.Change{Kind: events.Stale, Reason: s.after.Stale, Since: s.after.image.ProblemAt}
		if s.after.behind() {
			c.Upstream = s.after.image.Upstream
		}
		s.tell(c)
	case s.after.Stale == "" && s.before.Stale != "" && !s.after.Gone && s.before.Digest == s.after.Digest:
		s.tell(events.Change{Kind: events.Current})
	}
}

func (s *step) origin() {
	switch {
	case s.after.Gone && !s.before.Gone && s.before.Digest != "":
		s.tell(events.Change{Kind: events.Gone, Reason: "NotFound", Since: s.after.image.CheckedAt})
	case s.before.Gone && !s.after.Gone && s.after.Stale == "":
		s.tell(events.Change{Kind: events.Back})
	}
}

// record is what was told of all tags. It is one goroutine's.
type record struct {
	path    string
	tags    map[string]known
	changed bool
}

// readRecord reads a record; with an error it is empty.
func readRecord(path string) (*record, error) {
	r := &record{path: path, tags: map[string]known{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r.tags)
	}
	if err != nil {
		r.tags = map[string]known{}
		return r, fmt.Errorf("reading what was told of images: %w", err)
	}
	return r, nil
}

func (r *record) of(ref imageref.Reference) known { return r.tags[ref.String()] }

// note notes what is known of a tag now. While its origin is said to be gone, that it does not answer changes nothing of that.
func (r *record) note(ref imageref.Reference, now known, at time.Time) {
	before, ok := r.tags[ref.String()]
	now.Gone = now.Gone || before.Gone && now.Stale != ""
	if ok && before.same(&now) {
		return
	}
	now.At = at.UTC().Truncate(time.Millisecond)
	r.tags[ref.String()], r.changed = now, true
}

func (r *record) forget(ref imageref.Reference) {
	if _, ok := r.tags[ref.String()]; ok {
		delete(r.tags, ref.String())
		r.changed = true
	}
}

// refs lists the tags of which something was told.
func (r *record) refs() iter.Seq[imageref.Reference] {
	return func(yield func(imageref.Reference) bool) {
		for name := range r.tags {
			if ref, err := imageref.Parse(name); err == nil && !yield(ref) {
				return
			}
		}
	}
}

// write keeps the record, where it changed: a power cut leaves the old one or the new one, whole.
func (r *record) write() error {
	if !r.changed {
		return nil
	}
	text, err := json.Marshal(r.tags)
	if err == nil {
		err = durable.Replace(r.path, text)
	}
	if err != nil {
		return fmt.Errorf("keeping what was told of images: %w", err)
	}
	r.changed = false
	return nil
}
