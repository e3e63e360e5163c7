package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// Check asks the origin for a tag now, whatever its policy says and although checks may be held, and waits for the answer; it joins a
// check that is running. A tag that moved is brought in as after any check (T5), and of one that is not stored, or was removed, the
// manifest. An image by digest is never checked (T7): only an answer that its origin failed to give (T9) is forgotten, so that the next
// request asks anew. Where the origin did not answer, the error is an *Error.
func (c *Cache) Check(ctx context.Context, ref imageref.Reference) error {
	if ref.Digest != "" {
		c.forget(missKey{repo: ref.Repository, what: "manifest", name: string(ref.Digest)})
		return nil
	}
	if err := c.checkNow(ctx, tagKey{ref.Repository, ref.Tag}); err != nil {
		return fmt.Errorf("checking %s: %w", ref, err)
	}
	return nil
}

func (c *Cache) checkNow(ctx context.Context, key tagKey) error {
	st, err := c.tagState(ctx, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && st.rec.Load().Untagged {
		c.forget(missKey{repo: key.repo, what: "manifest", name: key.tag})
		_, _, err := c.miss(ctx, key.repo, key.tag)
		return err
	}
	if err != nil {
		return err
	}
	for {
		k, _ := c.joinCheck(c.tagQuestion(key, st, Policy{})) // an interval of zero: always due
		select {
		case <-k.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !k.idle {
			return answer(k.err, CodeManifestUnknown)
		}
	}
}
