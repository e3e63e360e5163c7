package cache

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/layout"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/larder-dev/larder/internal/store"
)

// Import brings the images of an OCI layout, a tar stream, into the store under the names that it gives them, and tells of each. Every
// byte is verified, and an image is tagged only when all of it is stored. Its origin is not asked, and a check is due as it was before.
func (c *Cache) Import(ctx context.Context, r io.Reader, told func(imageref.Reference, digest.Digest)) error {
	ctx, end := c.bind(ctx)
	defer end()
	var unpin []func()
	defer func() {
		for _, done := range unpin {
			done()
		}
	}()
	index, err := layout.Read(r, func(dgst digest.Digest, size int64, content io.Reader) error {
		unpin = append(unpin, c.store.Pin(dgst)) // nothing links it before the layout has ended
		return c.importBlob(ctx, dgst, size, content)
	})
	if err != nil {
		return err
	}
	for _, desc := range index.Manifests {
		ref, err := layout.NameOf(desc)
		if err == nil {
			err = c.importImage(ctx, ref, desc)
		}
		if err != nil {
			return err
		}
		told(ref, desc.Digest)
	}
	return nil
}

// importBlob stores a blob or manifest. What the store has is not written again.
func (c *Cache) importBlob(ctx context.Context, dgst digest.Digest, size int64, content io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if have, err := c.store.StatBlob(ctx, dgst); err == nil && have == size {
		return nil
	}
	spool, err := c.store.NewSpool(dgst, size)
	if err != nil {
		return err
	}
	defer spool.Discard()
	verifier := dgst.Verifier()
	if _, err := io.Copy(io.MultiWriter(spool, verifier), content); err != nil {
		return err
	}
	if !verifier.Verified() {
		return errors.New("its bytes have another digest than its name")
	}
	return spool.Commit(ctx)
}

func (c *Cache) importImage(ctx context.Context, ref imageref.Reference, desc ocispec.Descriptor) error {
	began := c.removals.now()
	if ref.Tag == "" { // nothing else keeps it; from now on no sweep takes what is linked
		if err := c.notePull(ctx, pullKey{ref.Repository, desc.Digest}); err != nil {
			return fmt.Errorf("importing %s: %w", ref, err)
		}
	}
	body, err := c.importManifest(ctx, ref.Repository, desc, 0)
	if err != nil {
		return fmt.Errorf("importing %s: %w", ref, err)
	}
	if ref.Tag != "" {
		err = c.importTag(ctx, ref, ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: int64(len(body))}, began)
	}
	if err == nil { // once more: a sweep may have taken links while nothing reached them
		_, err = c.importManifest(ctx, ref.Repository, desc, 0)
	}
	if err != nil {
		return fmt.Errorf("importing %s: %w", ref, err)
	}
	return nil
}

// importTag has a tag be at what was imported, unless it may not move.
func (c *Cache) importTag(ctx context.Context, ref imageref.Reference, desc ocispec.Descriptor, began removal) error {
	key := tagKey{ref.Repository, ref.Tag}
	immutable, left := c.policies.Policy(key.repo, key.tag).Immutable, c.survey(ctx, key)
	var refused error
	err := c.bringTag(ctx, key, began, func(r *store.TagRecord) bool {
		if refused = mayImport(r, desc.Digest, immutable); refused != nil {
			return false
		}
		checked := r.CheckedAt
		if r.Digest != desc.Digest {
			left.note(r, c.now())
		}
		switchTo(r, desc, c.now(), store.Imported)
		completed(r, c.now())
		left.trim(r)
		r.CheckedAt, r.PulledAt = checked, c.now()
		return true
	})
	return errors.Join(refused, err)
}

// mayImport says why a tag may not be at what is imported.
func mayImport(r *store.TagRecord, dgst digest.Digest, immutable bool) error {
	switch {
	case r.Digest == "" || r.Untagged || r.Digest == dgst:
		return nil
	case r.Pin.By != "":
		return fmt.Errorf("the tag is pinned to %s: unpin it first", r.Digest)
	case immutable:
		return fmt.Errorf("the tag is immutable, and is %s: remove it first, or take it out of its Repository's immutableTags", r.Digest)
	}
	return nil
}

// importManifest links a stored manifest and what it names, that first. Of an index some platforms may be missing, not all.
func (c *Cache) importManifest(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, depth int) ([]byte, error) {
	if depth > manifestDepth {
		return nil, fmt.Errorf("more than %d indexes deep", manifestDepth)
	}
	body, err := c.store.ReadBlob(ctx, desc.Digest)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	m, err := manifest.Parse(body)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	for _, d := range m.Blobs() {
		if _, err := c.openLinked(ctx, repo, d); err != nil {
			return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
		}
	}
	if err := c.importBelow(ctx, repo, m, depth); err != nil {
		return nil, err
	}
	return body, c.keep(ctx, repo, desc, body)
}

func (c *Cache) importBelow(ctx context.Context, repo imageref.Repository, m manifest.Manifest, depth int) error {
	present := len(m.Manifests) == 0
	for _, d := range m.Manifests {
		if !c.holdsBlob(ctx, d.Digest) {
			continue
		}
		present = true
		if _, err := c.importManifest(ctx, repo, d, depth+1); err != nil {
			return err
		}
	}
	if !present {
		return errors.New("the layout has none of its index's manifests")
	}
	return nil
}

// openLinked links a stored blob and says its size.
func (c *Cache) openLinked(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor) (int64, error) {
	b, err := c.openStored(ctx, repo, desc)
	if err != nil {
		return 0, err
	}
	return b.Size, b.Close()
}
