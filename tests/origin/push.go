package origin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is an image, index or artifact as the origin serves it.
type Image struct {
	ocispec.Descriptor // of the manifest or index; in an index's Manifests, as the index has it
	Repository         string
	Tag                string               // empty: pushed by digest
	Body               []byte               // the manifest's or index's exact bytes
	Blobs              []ocispec.Descriptor // config first, then layers; none for an index
	Manifests          []Image              // of an index, in its order
}

// Name returns "repository:tag" or, where there is no tag, "repository@digest".
func (i Image) Name() string {
	if i.Tag == "" {
		return i.Repository + "@" + i.Digest.String()
	}
	return i.Repository + ":" + i.Tag
}

// PushContent pushes an image, index or artifact with all that it names. A reference "repository:tag" sets the tag, moving it if it
// was there; "repository" pushes by digest alone. The faults of the origin do not touch it.
func (o *Origin) PushContent(ctx context.Context, reference string, content remote.Taggable) (Image, error) {
	img, err := describe(content)
	if err != nil {
		return Image{}, fmt.Errorf("describing %s: %w", reference, err)
	}
	img.locate(splitTag(reference))
	target, err := o.target(img.Name())
	if err != nil {
		return Image{}, err
	}
	if err := remote.Push(target, content, o.remoteOptions(ctx)...); err != nil {
		return Image{}, fmt.Errorf("pushing %s: %w", img.Name(), err)
	}
	return img, nil
}

// Remove deletes a tag ("repository:tag") or a manifest ("repository@digest") from the origin. Blobs stay.
func (o *Origin) Remove(ctx context.Context, reference string) error {
	target, err := o.target(reference)
	if err != nil {
		return err
	}
	if err := remote.Delete(target, o.remoteOptions(ctx)...); err != nil {
		return fmt.Errorf("removing %s: %w", reference, err)
	}
	return nil
}

func (o *Origin) target(reference string) (name.Reference, error) {
	return name.ParseReference(o.back.listener.address+"/"+reference, name.Insecure)
}

func (o *Origin) remoteOptions(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithTransport(o.pushes)}
}

func splitTag(reference string) (repository, tag string) {
	repository, tag, _ = strings.Cut(reference, ":")
	return repository, tag
}

func (i *Image) locate(repository, tag string) {
	i.Repository, i.Tag = repository, tag
	for k := range i.Manifests {
		i.Manifests[k].locate(repository, "")
	}
}

func describe(content remote.Taggable) (Image, error) {
	switch content := content.(type) {
	case v1.ImageIndex:
		return describeIndex(content)
	case v1.Image:
		return describeImage(content)
	default:
		return Image{}, errors.New("neither an image nor an index")
	}
}

func describeImage(img v1.Image) (Image, error) {
	body, err := img.RawManifest()
	if err != nil {
		return Image{}, err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return Image{}, err
	}
	blobs := []ocispec.Descriptor{descriptor(manifest.Config)}
	for _, layer := range manifest.Layers {
		blobs = append(blobs, descriptor(layer))
	}
	return Image{Descriptor: described(string(manifest.MediaType), body), Body: body, Blobs: blobs}, nil
}

func describeIndex(idx v1.ImageIndex) (Image, error) {
	body, err := idx.RawManifest()
	if err != nil {
		return Image{}, err
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		return Image{}, err
	}
	whole := Image{Descriptor: described(string(manifest.MediaType), body), Body: body}
	for _, d := range manifest.Manifests {
		img, err := describeChild(idx, d)
		if err != nil {
			return Image{}, err
		}
		img.Descriptor = descriptor(d)
		whole.Manifests = append(whole.Manifests, img)
	}
	return whole, nil
}

func describeChild(idx v1.ImageIndex, d v1.Descriptor) (Image, error) {
	if d.MediaType.IsIndex() {
		child, err := idx.ImageIndex(d.Digest)
		if err != nil {
			return Image{}, err
		}
		return describeIndex(child)
	}
	child, err := idx.Image(d.Digest)
	if err != nil {
		return Image{}, err
	}
	return describeImage(child)
}

func described(mediaType string, body []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
}

func descriptor(d v1.Descriptor) ocispec.Descriptor {
	desc := ocispec.Descriptor{
		MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size, Annotations: d.Annotations,
	}
	if d.Platform != nil {
		desc.Platform = &ocispec.Platform{
			OS: d.Platform.OS, Architecture: d.Platform.Architecture, Variant: d.Platform.Variant,
		}
	}
	return desc
}
