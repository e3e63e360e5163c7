package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// ResolveManifest answers which manifest reference (a tag or a digest) names, without its body: T1 to T10.
func (c *Cache) ResolveManifest(ctx context.Context, repo imageref.Repository, reference string) (ocispec.Descriptor, Outcome, error) {
	if strings.IndexByte(reference, ':') < 0 {
		return c.resolveTag(ctx, tagKey{repo, reference}, true)
	}
	dgst, err := imageref.ParseDigest(reference)
	if err != nil {
		return ocispec.Descriptor{}, Outcome{}, err
	}
	desc, outcome, err := c.resolveDigest(ctx, repo, dgst)
	if err == nil {
		c.touchDigest(repo, dgst)
	}
	return desc, outcome, err
}

// resolveDigest never checks (T7): a digest that is stored here is served.
func (c *Cache) resolveDigest(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, Outcome, error) {
	desc, err := c.store.LinkedManifest(ctx, repo, dgst)
	if err == nil && desc.Size >= 0 && (c.bodies.has(dgst) || c.holdsBlob(ctx, dgst)) {
		return desc, never, nil
	}
	body, desc, err := c.store.ReadManifest(ctx, repo, dgst)
	if err == nil {
		c.bodies.add(dgst, body)
		return desc, never, nil
	}
	if desc, err := c.adopt(ctx, repo, dgst); err == nil {
		return desc, never, nil
	}
	return c.miss(ctx, repo, string(dgst))
}

// adopt links a manifest that another repository stored and that a manifest stored in this one names (B6).
func (c *Cache) adopt(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, error) {
	named, ok := c.names.find(ctx, repo, dgst)
	if !ok || named.MediaType == "" || !c.holdsBlob(ctx, dgst) {
		return ocispec.Descriptor{}, store.ErrNotFound
	}
	body, err := c.store.ReadBlob(ctx, dgst)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	named.Size = int64(len(body)) // what names it may be wrong
	return named, c.keep(ctx, repo, named, body)
}

// resolveTag resolves a tag; pulled tells whether that counts as a pull (M5).
func (c *Cache) resolveTag(ctx context.Context, key tagKey, pulled bool) (ocispec.Descriptor, Outcome, error) {
	st, err := c.tagState(ctx, key)
	if err != nil {
		return c.miss(ctx, key.repo, key.tag)
	}
	rec := st.rec.Load()
	if rec.Untagged {
		return c.missUntagged(ctx, key, rec)
	}
	now := c.now()
	if pulled {
		c.touch(key, st, rec, now)
	}
	p := c.policyOf(key, st)
	if !p.Check {
		return c.serve(ctx, key, rec, never)
	}
	if age := now.Sub(rec.CheckedAt); age >= 0 && age < p.Interval {
		return c.serve(ctx, key, rec, Outcome{Kind: Hit, TTL: p.Interval - age})
	}
	return c.revalidate(ctx, key, st, p)
}

// revalidate serves a tag whose check is due.
func (c *Cache) revalidate(ctx context.Context, key tagKey, st *tagState, p Policy) (ocispec.Descriptor, Outcome, error) {
	why, err := c.confirm(ctx, c.tagQuestion(key, st, p))
	if err != nil {
		return ocispec.Descriptor{}, Outcome{}, err
	}
	if why != nil && c.tooStale(st.rec.Load(), p) {
		if unreachable(why) { // what the origin refused it will refuse again
			if why, err = c.insist(ctx, c.tagQuestion(key, st, p)); err != nil {
				return ocispec.Descriptor{}, Outcome{}, err
			}
		}
		if why != nil {
			return ocispec.Descriptor{}, Outcome{}, answer(fmt.Errorf("older than maxStale and not confirmed: %w", why), CodeManifestUnknown)
		}
	}
	outcome := Outcome{Kind: Revalidated}
	if why != nil {
		outcome = c.stale(why)
	}
	if fresh, err := c.tagState(ctx, key); err == nil { // the check may have made a new one
		st = fresh
	}
	return c.serve(ctx, key, st.rec.Load(), outcome)
}

// tooStale says whether T10 forbids to serve the copy unconfirmed.
func (c *Cache) tooStale(rec *store.TagRecord, p Policy) bool {
	return p.MaxStale > 0 && c.now().Sub(rec.CheckedAt) > p.MaxStale
}

func (c *Cache) stale(why error) Outcome {
	reason := reasonOf(why)
	c.metrics.StaleAnswers.WithLabelValues(reason).Inc()
	return Outcome{Kind: Stale, Why: reason}
}

// tagQuestion is a tag's check: T5.
func (c *Cache) tagQuestion(key tagKey, st *tagState, p Policy) question {
	return question{
		subject: subject{key.repo, tagSubject, key.tag},
		due:     func(context.Context) bool { return c.due(st.rec.Load().CheckedAt, p.Interval) },
		ask: func(ctx context.Context) error {
			err := c.checkTag(ctx, key, st)
			c.concluded(key, err)
			return err
		},
	}
}

func (c *Cache) due(checked time.Time, interval time.Duration) bool {
	age := c.now().Sub(checked)
	return age < 0 || age >= interval
}

// checkTag asks the origin for the tag's digest, and brings in the new manifest where it has changed (T5). Of a tag that may not move it
// remembers what the origin has, and the manifest only where the tag will be at it once it is unpinned.
func (c *Cache) checkTag(ctx context.Context, key tagKey, st *tagState) error {
	began := c.removals.now()
	desc, m, err := c.origin.ResolveManifest(ctx, key.repo, key.tag)
	if err != nil {
		return err
	}
	came := arrival{began, c.now()}
	immutable := c.policyOf(key, st).Immutable
	if unchanged(st.rec.Load(), desc.Digest, immutable) {
		c.confirmed(ctx, key, st, came)
		return nil
	}
	if immutable {
		c.noted(key, c.holdTag(ctx, key, desc.Digest, came))
		return nil
	}
	if m == nil {
		if m, err = c.origin.Manifest(ctx, key.repo, string(desc.Digest)); err != nil {
			return err
		}
	}
	if err := c.keep(ctx, key.repo, m.Descriptor, m.Body); err != nil {
		return fmt.Errorf("storing manifest %s: %w", m.Digest, err)
	}
	c.noted(key, errors.Join(c.moveTag(ctx, key, m.Descriptor, came), c.assure(ctx, key.repo, m.Descriptor, m.Body)))
	return nil
}

// unchanged says whether the origin named what it named before, and the tag is where it is to be then.
func unchanged(rec *store.TagRecord, named digest.Digest, immutable bool) bool {
	held := immutable || rec.Pin.By != ""
	return named == rec.OriginDigest() && (held || rec.Upstream == "")
}

// confirmed notes that the origin named what it named before.
func (c *Cache) confirmed(ctx context.Context, key tagKey, st *tagState, came arrival) {
	c.metrics.Checks.WithLabelValues("unchanged").Inc()
	c.noted(key, c.updateTag(ctx, key, func(r *store.TagRecord) bool {
		if overtaken(r, came.answered) {
			return false
		}
		seen(r, came.answered)
		return true
	}))
	if rec := st.rec.Load(); rec.Complete != "" && rec.Complete != rec.Digest {
		c.mirrorMoved(key)
	}
}

// noted tells the log of a record that could not be written. It holds in memory, so that a full disk does not make the origin's answer
// count for nothing.
func (c *Cache) noted(key tagKey, err error) {
	if err != nil {
		c.log.Error(err, "writing a tag record", "repository", key.repo.String(), "reference", key.tag)
	}
}

// arrival is when an origin was asked, and when it answered.
type arrival struct {
	began    removal
	answered time.Time
}

// moveTag switches a tag to a new revision, remembers the one before while it is whole, and starts to mirror. A pinned tag stays where it is,
// and remembers what it will be at.
func (c *Cache) moveTag(ctx context.Context, key tagKey, to ocispec.Descriptor, came arrival) error {
	left := c.survey(ctx, key)
	known, outcome := false, "changed" // whether anything of the old revision says what to mirror
	err := c.bringTag(ctx, key, came.began, func(r *store.TagRecord) bool {
		if overtaken(r, came.answered) {
			return false
		}
		if r.Pin.By != "" {
			outcome = "held"
			hold(r, to.Digest, came.answered)
			return true
		}
		if r.Digest != to.Digest {
			c.log.Info("tag moved", "repository", key.repo.String(), "reference", key.tag, "from", r.Digest, "digest", to.Digest)
			left.note(r, c.now())
		}
		switchTo(r, to, came.answered, store.Checked)
		left.trim(r)
		known = r.Complete != "" || len(r.Platforms) > 0
		return true
	})
	if known {
		c.mirrorMoved(key)
	}
	c.metrics.Checks.WithLabelValues(outcome).Inc()
	return err
}

// holdTag notes that the origin has another revision than an immutable tag, and tells of it once for each digest.
func (c *Cache) holdTag(ctx context.Context, key tagKey, named digest.Digest, came arrival) error {
	c.metrics.Checks.WithLabelValues("held").Inc()
	return c.bringTag(ctx, key, came.began, func(r *store.TagRecord) bool {
		if overtaken(r, came.answered) {
			return false
		}
		if is := r.Followed(); is != "" && is != named && r.OriginDigest() != named {
			c.metrics.ImmutableMoves.Inc()
			c.log.Info("an immutable tag was moved at its origin, and is served as it was", "repository", key.repo.String(), "reference", key.tag,
				"digest", is, "upstreamDigest", named)
		}
		hold(r, named, came.answered)
		return true
	})
}

// hold notes what the origin named at a check of a tag that stays where it is.
func hold(rec *store.TagRecord, named digest.Digest, now time.Time) {
	seen(rec, now)
	rec.Upstream = named
	if named == rec.Digest {
		rec.Upstream = ""
	}
}

// missUntagged asks for a tag that was removed here, and serves what is still stored of it where the origin fails (M4).
func (c *Cache) missUntagged(ctx context.Context, key tagKey, rec *store.TagRecord) (ocispec.Descriptor, Outcome, error) {
	desc, outcome, err := c.miss(ctx, key.repo, key.tag)
	if err == nil || ctx.Err() != nil || !c.holdsBlob(ctx, rec.Digest) {
		return desc, outcome, err
	}
	var e *Error
	if !errors.As(err, &e) || c.tooStale(rec, c.policies.Policy(key.repo, key.tag)) {
		return desc, outcome, err
	}
	return c.serve(ctx, key, rec, c.stale(e.Err))
}
