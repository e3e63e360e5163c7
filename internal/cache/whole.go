package cache

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/larder-dev/larder/internal/store"
)

// serve answers with the revision of a tag that can be pulled: while the current one is incomplete and its origin fails, that is the
// last complete one (T5).
func (c *Cache) serve(ctx context.Context, key tagKey, rec *store.TagRecord, outcome Outcome) (ocispec.Descriptor, Outcome, error) {
	desc := descriptorOf(rec)
	outcome.Held = heldBy(rec)
	if rec.Complete == "" || rec.Complete == rec.Digest {
		return desc, outcome, nil
	}
	gap := c.gap(ctx, key.repo, rec.Digest, rec.Platforms)
	if gap == nil {
		c.markComplete(ctx, key, rec.Digest)
		return desc, outcome, nil
	}
	c.mirrorMoved(key)
	if outcome.Kind != Stale && c.delivers(ctx, key, *gap) {
		return desc, outcome, nil
	}
	if complete, err := c.store.LinkedManifest(ctx, key.repo, rec.Complete); err == nil {
		c.metrics.StaleAnswers.WithLabelValues("incomplete").Inc()
		return complete, Outcome{Kind: Stale, Why: "incomplete"}, nil
	}
	return desc, outcome, nil // the old one is lost: the new one is all there is
}

// markComplete notes that a tag's revision is stored whole.
func (c *Cache) markComplete(ctx context.Context, key tagKey, dgst digest.Digest) {
	c.noted(key, c.updateTag(ctx, key, func(r *store.TagRecord) bool {
		return r.Digest == dgst && completed(r, c.now())
	}))
}

// settleTag writes the record of a tag whose revision desc was just stored whole, also where memory says nothing new: only what is
// written survives a restart (P1). A tombstone is a tag again, unless it became one since the mirror began (M4). kept says that the tag
// was one before, so that no sweep could take anything of it.
func (c *Cache) settleTag(ctx context.Context, key tagKey, desc ocispec.Descriptor, began removal) (kept bool, err error) {
	err = c.bringTag(ctx, key, began, func(r *store.TagRecord) bool {
		kept = r.Digest != "" && !r.Untagged
		if r.Digest == "" { // the store had no room for it when it was pulled
			switchTo(r, desc, c.now(), store.Pulled)
		}
		if r.Digest == desc.Digest {
			completed(r, c.now())
		}
		if r.Untagged {
			r.Untagged, r.PulledAt = false, c.now() // its time begins anew (M5)
		}
		return true
	})
	return kept, err
}

// gap returns the first manifest or blob that an image lacks to be complete: of every platform that was asked for, by name or by a pull of
// its manifest. It returns nil for a complete image.
func (c *Cache) gap(ctx context.Context, repo imageref.Repository, dgst digest.Digest, platforms []string) *ocispec.Descriptor {
	body, _, err := c.store.ReadManifest(ctx, repo, dgst)
	if err != nil {
		return &ocispec.Descriptor{Digest: dgst, MediaType: ocispec.MediaTypeImageManifest}
	}
	m, err := manifest.Parse(body)
	if err != nil {
		return nil // nothing that could be pulled further
	}
	for _, d := range m.Blobs() {
		if size, err := c.store.StatBlob(ctx, d.Digest); err != nil || size != d.Size {
			return &d
		}
	}
	return c.gapBelow(ctx, repo, m, platforms)
}

// gapBelow is gap for the manifests of an index. Where nothing was asked for by name, one of them has to be there.
func (c *Cache) gapBelow(ctx context.Context, repo imageref.Repository, m manifest.Manifest, platforms []string) *ocispec.Descriptor {
	stored := len(platforms) > 0 || len(m.Manifests) == 0
	for _, d := range m.Manifests {
		if _, err := c.store.LinkedManifest(ctx, repo, d.Digest); err != nil && !asked(d, platforms) {
			continue
		}
		stored = true
		if gap := c.gap(ctx, repo, d.Digest, platforms); gap != nil {
			return gap
		}
	}
	if !stored {
		return &m.Manifests[0]
	}
	return nil
}

// platformsOf lists the platforms of which an image's manifests are stored.
func (c *Cache) platformsOf(ctx context.Context, repo imageref.Repository, dgst digest.Digest) []string {
	body, _, err := c.store.ReadManifest(ctx, repo, dgst)
	if err != nil {
		return nil
	}
	m, err := manifest.Parse(body)
	if err != nil {
		return nil
	}
	if m.Config.Digest != "" {
		return c.platformOfConfig(ctx, m.Config.Digest)
	}
	var had []string
	for _, d := range m.Manifests {
		if _, err := c.store.LinkedManifest(ctx, repo, d.Digest); err == nil && d.Platform != nil {
			had = append(had, platformName(*d.Platform))
		}
	}
	slices.Sort(had)
	return slices.Compact(had)
}

func (c *Cache) platformOfConfig(ctx context.Context, config digest.Digest) []string {
	var p ocispec.Platform
	body, err := c.store.ReadBlob(ctx, config)
	if err != nil || json.Unmarshal(body, &p) != nil || p.OS == "" {
		return nil
	}
	return []string{platformName(p)}
}

func platformName(p ocispec.Platform) string {
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+variant(p.Architecture, p.Variant), "/")
}

// variant is the variant that makes a difference: every arm64 is a v8.
func variant(architecture, v string) string {
	if architecture == "arm64" && v == "v8" {
		return ""
	}
	return v
}

// asked says whether the manifest d of an index is one of the platforms asked for. What a platform leaves open fits anything.
func asked(d ocispec.Descriptor, platforms []string) bool {
	if d.Platform == nil {
		return false
	}
	have := v1.Platform{
		OS: d.Platform.OS, Architecture: d.Platform.Architecture, OSVersion: d.Platform.OSVersion,
		Variant: variant(d.Platform.Architecture, d.Platform.Variant),
	}
	return slices.ContainsFunc(platforms, func(name string) bool {
		want, err := v1.ParsePlatform(name)
		if err != nil {
			return false
		}
		want.Variant = variant(want.Architecture, want.Variant)
		return have.Satisfies(*want)
	})
}
