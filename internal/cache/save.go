package cache

import (
	"context"
	"errors"
	"time"

	"github.com/larder-dev/larder/internal/store"
)

const (
	saveEvery = 10 * time.Second
	saveLife  = 2 * time.Hour // longer than a sweep of a shared store
)

// saveLater writes a record after a while that memory has and the store has not: of a tag that came back while another process's sweep was
// about to delete it, once that is over; or one that another replica has overwritten with what it knew before.
func (c *Cache) saveLater(key tagKey, wait time.Duration) {
	st, ok := c.tags.Peek(key)
	if !ok || !st.saving.CompareAndSwap(false, true) {
		return
	}
	_ = c.background(saveLife, func(ctx context.Context) { // after Close the sweep has its way: the tag was removed once
		defer st.saving.Store(false)
		for ; ; wait = saveEvery {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			err := c.updateTag(ctx, key, func(r *store.TagRecord) bool { return r.Digest != "" && st.unsaved.Load() })
			if !errors.Is(err, store.ErrDoomed) {
				c.noted(key, err)
				return
			}
		}
	})
}
