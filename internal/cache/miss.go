package cache

import (
	"context"
	"errors"
	"net/http"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
)

const (
	failureHold = 10 * time.Second // T9: how long a failed answer to a miss is remembered
	deniedHold  = 30 * time.Second // T9: a denied one, for that set of credentials
)

// missKey is what a request asked an origin for in vain.
type missKey struct {
	repo imageref.Repository
	what string // "manifest", "blob", or the kind of a list
	name string
	// credentials are those that were denied; empty for other failures.
	credentials string
}

// miss brings in a manifest that is not stored, by tag or digest; requests for the same one share the transfer (T1, T9).
func (c *Cache) miss(ctx context.Context, repo imageref.Repository, reference string) (ocispec.Descriptor, Outcome, error) {
	var stored bool
	v, led, err := c.share(ctx, missKey{repo: repo, what: "manifest", name: reference}, func(ctx context.Context) (any, error) {
		if desc, ok := c.arrived(ctx, repo, reference); ok {
			return desc, nil
		}
		began := c.removals.now()
		m, err := c.origin.Manifest(ctx, repo, reference)
		c.holds.answered(subject{repo, tagSubject, reference}, err)
		if err == nil {
			stored = c.keepMissed(ctx, repo, reference, m, began)
		}
		c.concluded(tagKey{repo, reference}, err)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return m.Descriptor, nil
	})
	if err != nil {
		return ocispec.Descriptor{}, Outcome{Kind: Miss}, answer(err, CodeManifestUnknown)
	}
	return v.(ocispec.Descriptor), missed(!led, led && stored), nil
}

// arrived returns what another flight brought in since the caller looked.
func (c *Cache) arrived(ctx context.Context, repo imageref.Repository, reference string) (ocispec.Descriptor, bool) {
	if dgst, err := imageref.ParseDigest(reference); err == nil {
		desc, err := c.store.LinkedManifest(ctx, repo, dgst)
		return desc, err == nil && desc.Size >= 0 && c.holdsBlob(ctx, dgst)
	}
	st, err := c.tagState(ctx, tagKey{repo, reference})
	if err != nil || st.rec.Load().Untagged {
		return ocispec.Descriptor{}, false
	}
	return descriptorOf(st.rec.Load()), true
}

// keepMissed stores a manifest that was asked for, and the tag that named it. What cannot be stored is served all the same (B7).
func (c *Cache) keepMissed(ctx context.Context, repo imageref.Repository, reference string, m *upstream.Manifest, began removal) bool {
	err := c.keep(ctx, repo, m.Descriptor, m.Body)
	switch {
	case err != nil:
	case reference == string(m.Digest):
		err = c.noteUnnamed(ctx, pullKey{repo, m.Digest})
	default:
		now, key := c.now(), tagKey{repo, reference}
		left := c.survey(ctx, key)
		err = c.bringTag(ctx, key, began, func(r *store.TagRecord) bool {
			if r.Digest != m.Digest {
				left.note(r, now)
			}
			switchTo(r, m.Descriptor, now, store.Pulled)
			left.trim(r)
			r.PulledAt = now
			return true
		})
	}
	if err == nil {
		err = c.assure(ctx, repo, m.Descriptor, m.Body)
	}
	if err != nil {
		c.log.Error(err, "storing a manifest", "repository", repo.String(), "reference", reference, "digest", m.Digest)
	}
	return err == nil
}

// share runs fn once for all who ask for the same key at the same time, detached from each of them (B2), and remembers its failure.
// led tells the caller whose fn it was.
func (c *Cache) share(ctx context.Context, key missKey, fn func(context.Context) (any, error)) (v any, led bool, err error) {
	if err := c.remembered(key); err != nil {
		return nil, false, err
	}
	first := false // read only once fn has ended: the results may be returned before
	done := c.misses.DoChan(key.what+" "+key.repo.String()+" "+key.name, func() (any, error) {
		first = true
		if err := c.enter(); err != nil {
			return nil, err
		}
		defer c.wg.Done()
		if err := c.remembered(key); err != nil {
			return nil, err // of a flight that ended since the caller looked
		}
		ctx, cancel := context.WithTimeout(c.ctx, answerTimeout)
		defer cancel()
		v, err := fn(ctx)
		c.remember(key, err)
		return v, err
	})
	select {
	case r := <-done:
		return r.Val, first, r.Err
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// remembered returns the failure that still stands for key.
func (c *Cache) remembered(key missKey) error {
	if err := c.failures.get(key); err != nil {
		return err
	}
	key.credentials = c.origin.CredentialSet(key.repo)
	return c.failures.get(key)
}

// forget has the origin asked anew for what it failed to answer.
func (c *Cache) forget(key missKey) {
	c.failures.forget(key)
	key.credentials = c.origin.CredentialSet(key.repo)
	c.failures.forget(key)
}

func (c *Cache) remember(key missKey, err error) {
	var up *upstream.Error
	if !errors.As(err, &up) || errors.Is(err, context.Canceled) || c.ctx.Err() != nil {
		return
	}
	hold := failureHold
	if up.Reason == upstream.Denied && up.CredentialSet != "" {
		key.credentials, hold = up.CredentialSet, deniedHold
	}
	if up.Status == http.StatusTooManyRequests {
		c.holds.limit(c.origin.Place(key.repo), up)
		if up.RetryAfter > 0 {
			hold = min(hold, up.RetryAfter)
		}
	}
	c.failures.add(key, &Remembered{Err: err, Until: c.now().Add(hold)}, hold)
}
