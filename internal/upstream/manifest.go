package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// acceptManifest is what origins are asked for. It is the same for every client: what one asked for is stored for all.
var acceptManifest = strings.Join([]string{
	ocispec.MediaTypeImageIndex,
	ocispec.MediaTypeImageManifest,
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json",
}, ", ")

// Manifest is a manifest or index: the origin's exact bytes and media type.
type Manifest struct {
	ocispec.Descriptor // MediaType, Digest, Size
	Body               []byte
}

// ResolveManifest asks with HEAD which manifest reference (a tag or a digest) names. Where the origin does not tell the digest
// (or does not do HEAD), it falls back to one GET, and then the second result is that manifest; else it is nil.
// The size is -1 where the origin does not tell it.
func (c *Client) ResolveManifest(ctx context.Context, repo imageref.Repository, reference string) (ocispec.Descriptor, *Manifest, error) {
	type resolution struct {
		desc     ocispec.Descriptor
		manifest *Manifest
	}
	r, err := try(ctx, c, repo, func(ctx context.Context, a *attempt) (resolution, error) {
		desc, err := a.headManifest(ctx, reference)
		if !errors.Is(err, errNoHead) {
			return resolution{desc: desc}, err
		}
		m, err := a.getManifest(ctx, reference)
		if err != nil {
			return resolution{}, err
		}
		return resolution{m.Descriptor, m}, nil
	})
	return r.desc, r.manifest, err
}

// Manifest gets a manifest by tag or digest and verifies its digest against the reference and the origin's header.
func (c *Client) Manifest(ctx context.Context, repo imageref.Repository, reference string) (*Manifest, error) {
	return try(ctx, c, repo, func(ctx context.Context, a *attempt) (*Manifest, error) {
		return a.getManifest(ctx, reference)
	})
}

// errNoHead says that only a GET can answer.
var errNoHead = errors.New("HEAD does not tell")

func (a *attempt) manifestCall(method, reference string) call {
	return call{kind: "manifest", method: method, url: a.path("manifests/"+reference, nil),
		header: http.Header{"Accept": {acceptManifest}}}
}

func (a *attempt) headManifest(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	resp, err := a.send(ctx, a.manifestCall(http.MethodHead, reference))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer resp.Body.Close()
	if noHead(resp) {
		return ocispec.Descriptor{}, errNoHead
	}
	if err := a.expect(resp, http.StatusOK); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: mediaType(resp), Digest: headerDigest(resp), Size: resp.ContentLength}
	if wanted, err := imageref.ParseDigest(reference); err == nil {
		if desc.Digest != "" && desc.Digest.Algorithm() == wanted.Algorithm() && desc.Digest != wanted {
			return ocispec.Descriptor{}, a.mismatch(resp, wanted, desc.Digest)
		}
		desc.Digest = wanted
	}
	if desc.Digest == "" || desc.MediaType == "" {
		return ocispec.Descriptor{}, errNoHead
	}
	a.proved = true
	return desc, nil
}

func noHead(resp *http.Response) bool {
	return resp.StatusCode == http.StatusMethodNotAllowed || resp.StatusCode == http.StatusNotImplemented
}

func (a *attempt) getManifest(ctx context.Context, reference string) (*Manifest, error) {
	body, resp, err := a.document(ctx, a.manifestCall(http.MethodGet, reference), manifest.MaxSize) //nolint:bodyclose // document has closed it
	if err != nil {
		return nil, err
	}
	dgst, err := a.verify(resp, body, reference)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Body: body}
	m.MediaType, m.Digest, m.Size = mediaType(resp), dgst, int64(len(body))
	if m.MediaType == "" {
		m.MediaType = manifest.MediaType(body)
	}
	a.proved = true
	return m, nil
}

// verify returns the digest of a manifest's body: the reference, if that is one, else what the origin calls it.
func (a *attempt) verify(resp *http.Response, body []byte, reference string) (digest.Digest, error) {
	told := headerDigest(resp)
	if told != "" && told.Algorithm().FromBytes(body) != told {
		return "", a.mismatch(resp, told, told.Algorithm().FromBytes(body))
	}
	if wanted, err := imageref.ParseDigest(reference); err == nil {
		if actual := wanted.Algorithm().FromBytes(body); actual != wanted {
			return "", a.mismatch(resp, wanted, actual)
		}
		return wanted, nil
	}
	if !isObject(body) {
		return "", a.broken(resp, "the answer is no manifest")
	}
	if told != "" {
		return told, nil
	}
	return digest.FromBytes(body), nil
}

func (a *attempt) mismatch(resp *http.Response, expected, actual digest.Digest) *Error {
	a.client.metrics.DigestMismatches.WithLabelValues(a.repo.Host).Inc()
	return a.broken(resp, "digest %s, expected %s", actual, expected)
}

// headerDigest reads Docker-Content-Digest; "" where it is missing, malformed, or of an algorithm that cannot be verified.
func headerDigest(resp *http.Response) digest.Digest {
	dgst, err := imageref.ParseDigest(resp.Header.Get("Docker-Content-Digest"))
	if err != nil {
		return ""
	}
	return dgst
}

// mediaType reads Content-Type without its parameters; "" where it is missing or malformed.
func mediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

func isObject(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) && json.Valid(body)
}
