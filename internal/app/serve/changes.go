package serve

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/events"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/store"
)

const (
	gather      = 2 * time.Second // how long changed tags are collected: a tag that is pulled often is looked at once
	changedHeld = 50_000          // tags that changed meanwhile; what is beyond that is told with its next change
	toldFile    = "told.json"     // in the data folder
)

// changedTags are the tags that changed, each once.
type changedTags struct {
	mu   sync.Mutex
	tags map[imageref.Reference]struct{}
}

// add never blocks: it is owner.Options.OnTag.
func (c *changedTags) add(repo imageref.Repository, tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tags == nil {
		c.tags = map[imageref.Reference]struct{}{}
	}
	if len(c.tags) < changedHeld {
		c.tags[imageref.Reference{Repository: repo, Tag: tag}] = struct{}{}
	}
}

func (c *changedTags) take() map[imageref.Reference]struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.tags
	c.tags = nil
	return taken
}

// watcher tells what changes of tags, by what it last told of each, which is kept in a file. It tells first and writes then, so that a
// process that ends between the two leaves it to the next one to tell again.
type watcher struct {
	cache interface {
		Image(ctx context.Context, ref imageref.Reference, platforms []string) (cache.Image, error)
	}
	policies *policy.Current
	tell     func(events.Change)
	told     *record
	log      logr.Logger
	now      func() time.Time
}

// tellChanges tells what changes until ctx ends, where there is a sink.
func (p *process) tellChanges(ctx context.Context) {
	if p.options.Events.Sink == nil {
		return
	}
	log := p.log.WithName("events")
	told, err := readRecord(filepath.Join(p.options.Data, toldFile))
	if err != nil {
		log.Error(err, "what was told of images is not known: it is told again")
	}
	w := &watcher{cache: p.server.Cache(), policies: p.policies, tell: p.server.Teller().Tell, told: told, log: log, now: time.Now}
	for _, image := range p.policies.Load().Images() { // and what changed just before the process ended
		p.changed.add(image.Reference.Repository, image.Reference.Tag)
	}
	for ref := range told.refs() {
		p.changed.add(ref.Repository, ref.Tag)
	}
	ticker := time.NewTicker(gather)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look(ctx, p.changed.take())
		}
	}
}

// look tells what is new of tags.
func (w *watcher) look(ctx context.Context, tags map[imageref.Reference]struct{}) {
	for ref := range tags {
		if ref.Tag == "" {
			continue
		}
		stored, err := w.cache.Image(ctx, ref, w.policies.Load().Platforms(ref.Repository))
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && stored.Untagged:
			w.told.forget(ref)
		case err != nil:
			continue // nothing is known of it; the next change comes
		default:
			before := w.told.of(ref)
			after := knownOf(stored)
			for _, c := range before.changes(ref, after, w.now()) {
				w.tell(c)
			}
			w.told.note(ref, after, w.now())
		}
	}
	if err := w.told.write(); err != nil {
		w.log.Error(err, "what was told of images is not kept: after a restart it is told again")
	}
}
