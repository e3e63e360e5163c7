package cache

import (
	"slices"
	"time"

	"github.com/larder-dev/larder/internal/store"
)

// problem is why a tag's last check was not answered.
type problem struct {
	err error
	at  time.Time
}

// concluded remembers how a check of a tag ended, or a request in its place, and tells of one that failed.
func (c *Cache) concluded(key tagKey, err error) {
	st, ok := c.tags.Peek(key)
	if !ok || c.ctx.Err() != nil { // cut short by us, it says nothing of the origin
		return
	}
	var now *problem
	if err != nil {
		now = &problem{answer(err, CodeManifestUnknown), c.now()}
	}
	if before := st.problem.Swap(now); before != nil || now != nil {
		c.onTag(key.repo, key.tag)
	}
}

// tells says whether Image tells something else of a tag's record than of the one before; either may be nil.
func tells(before, after *store.TagRecord) bool {
	if before == nil || after == nil {
		return before != after
	}
	return before.Digest != after.Digest || before.Complete != after.Complete || before.Untagged != after.Untagged ||
		!before.CheckedAt.Equal(after.CheckedAt) || !before.ChangedAt.Equal(after.ChangedAt) ||
		before.Pin != after.Pin || !slices.Equal(before.History, after.History)
}
