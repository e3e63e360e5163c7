package move

import (
	"context"
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/version"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// CopyOptions say what to copy where.
type CopyOptions struct {
	serve.Cache                    // where the image is
	Image       imageref.Reference // which
	Target      name.Reference     // where to
	Out         io.Writer          // takes a line when it is there
}

// ParseTarget reads the name of an image at another registry, which is reached by plain HTTP where it is on loopback or plain says so.
func ParseTarget(target string, plain bool) (name.Reference, error) {
	options := []name.Option{name.StrictValidation}
	if plain {
		options = append(options, name.Insecure)
	}
	ref, err := name.ParseReference(target, options...)
	if err != nil {
		return nil, fmt.Errorf("target %q: write registry/repository:tag: %w", target, err)
	}
	return ref, nil
}

// Copy pushes an image unchanged, an index with all its platforms, with the credentials that Docker's configuration has for the registry.
func Copy(ctx context.Context, o CopyOptions, log logr.Logger) error {
	from, err := openSource(ctx, o.Cache, log)
	if err != nil {
		return err
	}
	from.whole = true
	desc, err := from.resolve(ctx, o.Image)
	if err != nil {
		return err
	}
	pusher, err := remote.NewPusher(remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent(version.UserAgent()))
	if err != nil {
		return err
	}
	p := &pushing{from: from, pusher: pusher, target: o.Target, image: desc.Digest}
	if err := from.walk(ctx, o.Image.Repository, desc.Digest, p); err != nil {
		return fmt.Errorf("copying %s to %s: %w", o.Image, o.Target, advise(o.Image, err))
	}
	_, err = fmt.Fprintf(o.Out, "%s: digest %s\n", o.Target, desc.Digest)
	return err
}

// pushing pushes what it is shown.
type pushing struct {
	from   source
	pusher *remote.Pusher
	target name.Reference
	image  digest.Digest
}

func (p *pushing) blob(ctx context.Context, desc ocispec.Descriptor) error {
	return p.pusher.Upload(ctx, p.target.Context(), layer{ctx, p.from.store, desc})
}

func (p *pushing) manifest(ctx context.Context, desc ocispec.Descriptor, body []byte) error {
	var to name.Reference = p.target.Context().Digest(desc.Digest.String())
	if desc.Digest == p.image {
		to = p.target
	}
	return p.pusher.Push(ctx, to, rawManifest{desc, body})
}

// rawManifest is one as go-containerregistry pushes it: its bytes, and nothing below them.
type rawManifest struct {
	desc ocispec.Descriptor
	body []byte
}

func (m rawManifest) RawManifest() ([]byte, error) { return m.body, nil }
func (m rawManifest) MediaType() (types.MediaType, error) {
	return types.MediaType(m.desc.MediaType), nil
}
func (m rawManifest) Digest() (v1.Hash, error) { return v1.NewHash(m.desc.Digest.String()) }
func (m rawManifest) Size() (int64, error)     { return int64(len(m.body)), nil }

// layer is a stored blob as go-containerregistry pushes it.
type layer struct {
	ctx  context.Context // the library's interface has none
	from *store.Store
	desc ocispec.Descriptor
}

func (l layer) Digest() (v1.Hash, error)             { return v1.NewHash(l.desc.Digest.String()) }
func (l layer) DiffID() (v1.Hash, error)             { return l.Digest() } // it is never asked for
func (l layer) Size() (int64, error)                 { return l.desc.Size, nil }
func (l layer) MediaType() (types.MediaType, error)  { return types.MediaType(l.desc.MediaType), nil }
func (l layer) Uncompressed() (io.ReadCloser, error) { return l.Compressed() }

func (l layer) Compressed() (io.ReadCloser, error) {
	return l.from.OpenBlob(l.ctx, l.desc.Digest, l.desc.Size)
}
