package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const maxReferrers = 100_000

// Referrers lists what refers to dgst, from the referrers API or, where the origin has none (404), from the fallback tag.
// Only where the origin says 404 to both is the list empty without an error.
func (c *Client) Referrers(ctx context.Context, repo imageref.Repository, dgst digest.Digest) ([]ocispec.Descriptor, error) {
	// That an endpoint knows nothing is an error until all are asked: the next may know something.
	referrers, err := try(ctx, c, repo, func(ctx context.Context, a *attempt) ([]ocispec.Descriptor, error) {
		referrers, err := a.listReferrers(ctx, dgst)
		if reason(err) != NotFound {
			return referrers, err
		}
		m, err := a.getManifest(ctx, fallbackTag(dgst))
		if err != nil {
			return nil, err
		}
		return referrersIn(m.MediaType, m.Body)
	})
	if reason(err) == NotFound {
		return []ocispec.Descriptor{}, nil
	}
	return referrers, err
}

func (a *attempt) listReferrers(ctx context.Context, dgst digest.Digest) ([]ocispec.Descriptor, error) {
	referrers, seen := []ocispec.Descriptor{}, map[digest.Digest]bool{}
	first := call{kind: "referrers", method: http.MethodGet, url: a.path("referrers/"+dgst.String(), nil),
		header: http.Header{"Accept": {ocispec.MediaTypeImageIndex}}}
	err := a.pages(ctx, first, manifest.MaxSize, func(resp *http.Response, body []byte) error {
		page, err := referrersIn(mediaType(resp), body)
		if err != nil {
			return a.broken(resp, "%w", err)
		}
		for _, desc := range page {
			if !seen[desc.Digest] {
				seen[desc.Digest] = true
				referrers = append(referrers, desc)
			}
		}
		if len(referrers) > maxReferrers {
			return a.broken(resp, "more than %d referrers", maxReferrers)
		}
		return nil
	})
	return referrers, err
}

// referrersIn reads an index. Something else is an error, and so is a digest that cannot be verified: to leave either
// out would be to say that nothing refers there.
func referrersIn(mediaType string, body []byte) ([]ocispec.Descriptor, error) {
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, fault(Invalid, "the list of referrers is not JSON")
	}
	if mediaType != ocispec.MediaTypeImageIndex && index.MediaType != ocispec.MediaTypeImageIndex {
		return nil, fault(Invalid, "the list of referrers is no OCI index")
	}
	for _, desc := range index.Manifests {
		if _, err := imageref.ParseDigest(desc.Digest.String()); err != nil {
			return nil, fault(Invalid, "the list of referrers has an invalid digest")
		}
	}
	if index.Manifests == nil {
		return []ocispec.Descriptor{}, nil
	}
	return index.Manifests, nil
}

// fallbackTag is the tag under which clients keep referrers where the origin has no API for them (distribution spec 1.1).
func fallbackTag(dgst digest.Digest) string {
	algorithm, encoded := dgst.Algorithm().String(), dgst.Encoded()
	return algorithm[:min(len(algorithm), 32)] + "-" + encoded[:min(len(encoded), 64)]
}

func reason(err error) Reason {
	var e *Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Reason
}
