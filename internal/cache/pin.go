package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/larder-dev/larder/internal/store"
)

// Pin is the revision that a tag is to stay at, and who says so.
type Pin struct {
	Digest    digest.Digest
	By        store.PinOwner
	Platforms []string // that have to be stored of it; none: those that the tag has now
}

var (
	// ErrPinnedByObject is returned to a person whose command would change what a CachedImage says.
	ErrPinnedByObject = errors.New("a CachedImage pins it: change spec.pinnedDigest there")
	// ErrNotPinned is returned where there is no pin to remove.
	ErrNotPinned = errors.New("it is not pinned")

	errPinDigest = errors.New("an image by digest cannot be pinned: name it by its tag")
	errRemoved   = errors.New("it was removed meanwhile")
)

// Pin has a tag serve one of its revisions until Unpin, whatever its origin says. Checks go on, and tell what the origin has. A revision that
// is not stored whole is brought in first; where its origin fails, one that can be pulled for some platform will do. Where there is none,
// nothing changes, and the error says why not. progress may be nil.
func (c *Cache) Pin(ctx context.Context, ref imageref.Reference, pin Pin, progress func(Progress)) error {
	ctx, end := c.bind(ctx)
	defer end()
	began := c.removals.now()
	done, err := c.PinStored(ctx, ref, pin)
	if done || err != nil {
		return err
	}
	key := tagKey{ref.Repository, ref.Tag}
	desc, forget, err := c.bringPinned(ctx, key, pin, progress)
	if err == nil {
		err = c.pinTo(ctx, key, desc, pin, began)
	}
	if err == nil {
		err = forget()
	}
	if err != nil {
		return fmt.Errorf("pinning %s to %s: %w", ref, pin.Digest, answer(err, CodeManifestUnknown))
	}
	return nil
}

// PinStored is Pin without the origin: done is false where the revision is not stored whole, and then nothing changed.
func (c *Cache) PinStored(ctx context.Context, ref imageref.Reference, pin Pin) (done bool, err error) {
	if ref.Digest != "" {
		return false, fmt.Errorf("pinning %s: %w", ref, errPinDigest)
	}
	key, began := tagKey{ref.Repository, ref.Tag}, c.removals.now()
	desc, err := c.store.LinkedManifest(ctx, ref.Repository, pin.Digest)
	if err == nil && c.wholeFor(ctx, key, desc, pin.Platforms) {
		err = c.pinTo(ctx, key, desc, pin, began)
		done = err == nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, fmt.Errorf("pinning %s to %s: %w", ref, pin.Digest, err)
	}
	return done, nil
}

// bringPinned brings in the revision that a tag is to be pinned to. Until forget is called, no sweep takes it.
func (c *Cache) bringPinned(ctx context.Context, key tagKey, pin Pin, progress func(Progress)) (desc ocispec.Descriptor, forget func() error, err error) {
	release, err := c.mirrors.enter(ctx, c.origin.Place(key.repo))
	if err != nil {
		return desc, nil, err
	}
	defer release()
	pulled := pullKey{key.repo, pin.Digest}
	forget = func() error { return nil }
	if _, err := c.pulledAt(ctx, pulled); errors.Is(err, store.ErrNotFound) {
		forget = func() error { return c.forgetPull(ctx, pulled) }
	}
	if err := c.notePull(ctx, pulled); err != nil {
		return desc, nil, err
	}
	err = c.patiently(ctx, key.repo, func() (err error) {
		desc, _, err = c.resolveDigest(ctx, key.repo, pin.Digest)
		return err
	})
	if err == nil {
		t := &tree{repo: key.repo, platforms: c.platformsFor(ctx, key, pin.Platforms), progress: progress}
		_, err = c.mirrorTree(ctx, desc, t)
	}
	if err != nil && originFailed(err) && c.usable(ctx, key.repo, pin.Digest) {
		c.log.Info("pinned to what is stored of a revision: its origin failed", "repository", key.repo.String(), "reference", key.tag,
			"digest", pin.Digest, "reason", err.Error())
		err = nil
	}
	if err != nil {
		_ = forget() // where the store failed too, it is kept for as long as any that was pulled by its digest
	}
	return desc, forget, err
}

// pinTo pins a tag to a revision that is stored.
func (c *Cache) pinTo(ctx context.Context, key tagKey, desc ocispec.Descriptor, pin Pin, began removal) error {
	left := c.survey(ctx, key)
	refused := errRemoved
	err := c.bringTag(ctx, key, began, func(r *store.TagRecord) bool {
		if refused = mayPin(r, pin.By); refused != nil {
			return false
		}
		if r.Pin.By == pin.By && r.Digest == desc.Digest {
			return false
		}
		c.log.Info("tag pinned", "repository", key.repo.String(), "reference", key.tag, "from", r.Digest, "digest", desc.Digest)
		origin, now := r.OriginDigest(), c.now()
		if r.Pin.By == "" {
			r.Pin.Over = r.Digest
		}
		r.Pin.By, r.Pin.At, r.Untagged = pin.By, now, false
		if r.Digest != desc.Digest {
			left.note(r, now)
			enter(r, desc, now, store.Pinned)
		}
		if r.Upstream = origin; origin == r.Digest {
			r.Upstream = ""
		}
		completed(r, now)
		left.trim(r)
		return true
	})
	return errors.Join(refused, err)
}

func mayPin(r *store.TagRecord, by store.PinOwner) error {
	if by == store.ByHand && r.Pin.By == store.ByObject {
		return ErrPinnedByObject
	}
	return nil
}

// Unpin has a tag follow its origin again: it is at what that said last from now on. Where that is not known, or its manifest is not stored,
// the tag stays where it is, and its origin is asked in the background. An immutable tag is again what it was before it was pinned.
func (c *Cache) Unpin(ctx context.Context, ref imageref.Reference, by store.PinOwner) error {
	key, began := tagKey{ref.Repository, ref.Tag}, c.removals.now()
	st, err := c.tagState(ctx, key)
	if err != nil {
		return fmt.Errorf("unpinning %s: %w", ref, err)
	}
	rec, immutable := st.rec.Load(), c.policyOf(key, st).Immutable
	to := released(rec, immutable)
	desc, found := c.store.LinkedManifest(ctx, key.repo, to)
	left := c.survey(ctx, key)
	refused := error(ErrNotPinned)
	err = c.bringTag(ctx, key, began, func(r *store.TagRecord) bool {
		if refused = mayUnpin(r, by); refused != nil {
			return false
		}
		c.log.Info("tag unpinned", "repository", key.repo.String(), "reference", key.tag, "from", r.Digest, "digest", to)
		origin, same := r.OriginDigest(), released(r, immutable) == to
		r.Pin = store.Pin{}
		if same && found == nil && to != r.Digest {
			left.note(r, c.now())
			enter(r, desc, c.now(), store.Unpinned)
			left.trim(r)
		}
		if r.Upstream = origin; origin == r.Digest {
			r.Upstream = ""
		}
		return true
	})
	if err := errors.Join(refused, err); err != nil {
		return fmt.Errorf("unpinning %s: %w", ref, err)
	}
	c.goOn(ctx, key, immutable)
	return nil
}

// released is the revision that a tag is to be at without its pin; empty where nobody knows.
func released(rec *store.TagRecord, immutable bool) digest.Digest {
	if immutable && rec.Pin.Over != "" {
		return rec.Pin.Over
	}
	return rec.OriginDigest()
}

func mayUnpin(r *store.TagRecord, by store.PinOwner) error {
	switch {
	case r.Pin.By == "":
		return ErrNotPinned
	case by == store.ByHand && r.Pin.By == store.ByObject:
		return ErrPinnedByObject
	case by != r.Pin.By: // a person's pin is no object's to end
		return ErrNotPinned
	}
	return nil
}

// goOn brings in the revision that an unpinned tag is at now, or finds out which one that is.
func (c *Cache) goOn(ctx context.Context, key tagKey, immutable bool) {
	st, err := c.tagState(ctx, key)
	if err != nil {
		return
	}
	rec := st.rec.Load()
	switch {
	case rec.CheckedAt.IsZero(), rec.Upstream != "" && !immutable:
		c.joinCheck(c.tagQuestion(key, st, Policy{}))
	case rec.Complete != rec.Digest:
		c.mirrorMoved(key)
	}
}

// platformsFor lists the platforms that a revision of a tag is to have: those that are wanted, else those that the tag has now.
func (c *Cache) platformsFor(ctx context.Context, key tagKey, wanted []string) []string {
	if len(wanted) > 0 {
		return wanted
	}
	st, err := c.tagState(ctx, key)
	if err != nil {
		return nil
	}
	return c.platformsOf(ctx, key.repo, st.rec.Load().Digest)
}

// wholeFor says whether a revision is stored whole for the platforms that it is to have.
func (c *Cache) wholeFor(ctx context.Context, key tagKey, desc ocispec.Descriptor, wanted []string) bool {
	v := &inventory{cache: c, repo: key.repo, platforms: c.platformsFor(ctx, key, wanted), seen: map[digest.Digest]bool{}}
	return v.manifest(ctx, desc, 0) == nil && !v.lacking
}

// usable says whether an image is stored whole for one of its platforms.
func (c *Cache) usable(ctx context.Context, repo imageref.Repository, dgst digest.Digest) bool {
	body, _, err := c.store.ReadManifest(ctx, repo, dgst)
	if err != nil {
		return false
	}
	m, err := manifest.Parse(body)
	if err != nil {
		return false
	}
	for _, d := range m.Blobs() {
		if size, err := c.store.StatBlob(ctx, d.Digest); err != nil || size != d.Size {
			return false
		}
	}
	usable := len(m.Manifests) == 0
	for _, d := range m.Manifests {
		usable = usable || c.usable(ctx, repo, d.Digest)
	}
	return usable
}

// ReleasePins unpins the tags that an object pinned and of which held does not say that one still does. It reads the record of each tag.
func (c *Cache) ReleasePins(ctx context.Context, held func(imageref.Reference) bool) {
	err := c.store.Repositories(ctx, func(repo imageref.Repository) error {
		tags, err := c.store.Tags(ctx, repo)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			ref := imageref.Reference{Repository: repo, Tag: tag}
			rec, err := c.store.Tag(ctx, repo, tag)
			if err == nil && rec.Pin.By == store.ByObject && !held(ref) {
				c.noted(tagKey{repo, tag}, c.Unpin(ctx, ref, store.ByObject))
			}
		}
		return ctx.Err()
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrNotFound) {
		c.log.Error(err, "looking for pins that nothing asks for any more")
	}
}
