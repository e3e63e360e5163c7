package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/larder-dev/larder/internal/store"
)

const (
	historyLimit = 5   // revisions kept in a tag's history where its policy does not say
	historyMost  = 200 // kept at most, whatever is in use: as many as a CachedImage's status takes
)

// switchTo makes m, which its origin named at now, the revision of a tag.
func switchTo(rec *store.TagRecord, m ocispec.Descriptor, now time.Time, cause store.Cause) {
	if rec.Evicted { // nothing is left of what it was
		*rec = store.TagRecord{}
	}
	rec.Untagged = false
	rec.Upstream = ""
	rec.CheckedAt = now
	if rec.Digest == m.Digest {
		seen(rec, now)
		return
	}
	enter(rec, m, now, cause)
}

// enter makes m the revision of a tag that was at another one.
func enter(rec *store.TagRecord, m ocispec.Descriptor, now time.Time, cause store.Cause) {
	rec.Digest, rec.MediaType, rec.Size = m.Digest, m.MediaType, m.Size
	rec.ChangedAt = now
	rec.History = slices.Insert(rec.History, 0, store.Revision{Digest: m.Digest, FirstSeen: now, LastSeen: now, Cause: cause})
}

// seen notes that a tag is still at the revision that is served.
func seen(rec *store.TagRecord, now time.Time) {
	rec.CheckedAt = now
	if len(rec.History) > 0 {
		rec.History[0].LastSeen = now
	}
}

// completed notes that a tag's revision is stored whole, and says whether that is news.
func completed(rec *store.TagRecord, now time.Time) bool {
	news := rec.Complete != rec.Digest
	rec.Complete = rec.Digest
	if len(rec.History) > 0 && rec.History[0].Digest == rec.Digest && rec.History[0].CompleteAt.IsZero() {
		rec.History[0].CompleteAt = now
		news = true
	}
	return news
}

// leaving is what is to be remembered of a revision that a tag leaves, and what of its history may be forgotten then.
type leaving struct {
	digest    digest.Digest
	whole     bool
	platforms []string // that it had
	limit     int      // of the history
	unused    map[digest.Digest]bool
}

// survey looks at the revision that a tag is about to leave. It reads much, and so goes before the tag's lock.
func (c *Cache) survey(ctx context.Context, key tagKey) leaving {
	st, err := c.tagState(ctx, key)
	if err != nil {
		return leaving{limit: historyMost}
	}
	rec := st.rec.Load()
	left := leaving{
		digest:    rec.Digest,
		whole:     c.gap(ctx, key.repo, rec.Digest, rec.Platforms) == nil,
		platforms: c.platformsOf(ctx, key.repo, rec.Digest),
		limit:     c.policyOf(key, st).HistoryLimit,
	}
	if left.limit <= 0 {
		left.limit = historyLimit
	}
	left.unused = c.unusedOf(ctx, key.repo, rec, left.limit-1)
	return left
}

// note writes the survey into the record, before it is switched at now.
func (l leaving) note(r *store.TagRecord, now time.Time) {
	if r.Digest == "" || r.Digest != l.digest {
		return
	}
	if len(r.History) == 0 { // another registry's
		r.History = []store.Revision{{Digest: r.Digest}}
	}
	if l.whole {
		completed(r, now)
	}
	if len(l.platforms) > 0 {
		r.Platforms = l.platforms
	}
}

// trim cuts the history to its limit once the record is switched. It drops what was found unused, never what the tag may have to
// go back to.
func (l leaving) trim(r *store.TagRecord) {
	kept := make([]store.Revision, 0, len(r.History))
	for i, revision := range r.History {
		if i < l.limit || !l.unused[revision.Digest] || needs(r, revision.Digest) {
			kept = append(kept, revision)
		}
	}
	r.History = kept[:min(len(kept), historyMost)]
}

// needs says whether a tag may have to be served with a revision whatever its history says.
func needs(r *store.TagRecord, dgst digest.Digest) bool {
	return dgst == r.Digest || dgst == r.Complete || dgst == r.Pin.Over
}

// unusedOf lists the revisions of a tag's history, from the nth on, that no object names and nobody uses, by their own digest or by that
// of a platform.
func (c *Cache) unusedOf(ctx context.Context, repo imageref.Repository, rec *store.TagRecord, n int) map[digest.Digest]bool {
	unused := map[digest.Digest]bool{}
	for _, revision := range rec.History[min(n, len(rec.History)):] {
		unused[revision.Digest] = !c.isUsed(ctx, repo, revision.Digest)
	}
	return unused
}

// isUsed says whether an object names a manifest or one below it, or somebody uses it. Where the store cannot tell, it is used.
func (c *Cache) isUsed(ctx context.Context, repo imageref.Repository, dgst digest.Digest) bool {
	if c.keeps(repo, dgst) {
		return true
	}
	body, err := c.storedManifest(ctx, repo, dgst)
	if err != nil {
		return !errors.Is(err, store.ErrNotFound)
	}
	m, err := manifest.Parse(body)
	return err == nil && slices.ContainsFunc(m.Manifests, func(d ocispec.Descriptor) bool { return c.keeps(repo, d.Digest) })
}

// Tag is what a tag is and was.
type Tag struct {
	Digest    digest.Digest    // the revision that it is at
	Upstream  digest.Digest    // what its origin named last; empty where it was not asked
	CheckedAt time.Time        // when that was; zero: never
	Pin       store.Pin        // why it stays at Digest; zero: it is not pinned
	Immutable bool             // it never moves
	History   []store.Revision // newest first
}

// Tag says what a tag is and was, without asking its origin; store.ErrNotFound where it is not stored, or was removed.
func (c *Cache) Tag(ctx context.Context, ref imageref.Reference) (Tag, error) {
	key := tagKey{ref.Repository, ref.Tag}
	st, err := c.tagState(ctx, key)
	if err == nil && st.rec.Load().Untagged {
		err = store.ErrNotFound
	}
	if err != nil {
		return Tag{}, fmt.Errorf("looking for %s: %w", ref, err)
	}
	rec := st.rec.Load()
	return Tag{
		Digest: rec.Digest, Upstream: rec.OriginDigest(), CheckedAt: rec.CheckedAt, Pin: rec.Pin,
		Immutable: c.policyOf(key, st).Immutable, History: slices.Clone(rec.History),
	}, nil
}
