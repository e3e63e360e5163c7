// Package move takes images out of a data folder or bucket and brings them in, unchanged: larder export, larder import and larder copy.
// It asks no origin.
package move

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/manifest"
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/store"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const indexDepth = 4 // how deep indexes may be nested

// source is a store that is read, also beside the process that owns it: what it holds is whole at any moment.
type source struct {
	store *store.Store
	whole bool // every manifest of an index is wanted, not only those that are stored
}

func openSource(ctx context.Context, o serve.Cache, log logr.Logger) (source, error) {
	s, err := store.Open(ctx, store.Options{
		Data: o.Data, Driver: o.Storage.Driver, Parameters: o.Storage.Parameters, ReadOnly: true, Log: log.WithName("store"),
	})
	return source{store: s}, err
}

// all lists the tags that the store has.
func (s source) all(ctx context.Context) ([]imageref.Reference, error) {
	var refs []imageref.Reference
	err := s.store.Repositories(ctx, func(repo imageref.Repository) error {
		tags, err := s.store.Tags(ctx, repo)
		for _, tag := range tags {
			if rec, err := s.store.Tag(ctx, repo, tag); err == nil && !rec.Untagged {
				refs = append(refs, imageref.Reference{Repository: repo, Tag: tag})
			}
		}
		return err
	})
	return refs, err
}

// resolve returns the manifest that an image is stored with.
func (s source) resolve(ctx context.Context, ref imageref.Reference) (ocispec.Descriptor, error) {
	dgst := ref.Digest
	if dgst == "" {
		rec, err := s.store.Tag(ctx, ref.Repository, ref.Tag)
		if err != nil {
			return ocispec.Descriptor{}, advise(ref, err)
		}
		dgst = rec.Digest
		if rec.Complete != "" {
			dgst = rec.Complete // the revision that can be had whole
		}
	}
	_, desc, err := s.store.ReadManifest(ctx, ref.Repository, dgst)
	return desc, advise(ref, err)
}

// advise says what to do about an image that is not stored, or not whole.
func advise(ref imageref.Reference, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%s is not stored whole: run larder pull %s first (%w)", ref, ref, err)
	}
	return err
}

// visitor is told of each part of an image, what is named before what names it.
type visitor interface {
	blob(ctx context.Context, desc ocispec.Descriptor) error
	manifest(ctx context.Context, desc ocispec.Descriptor, body []byte) error
}

// walk visits an image. Of an index the manifests that are stored, one at least; all of them where the whole is wanted.
func (s source) walk(ctx context.Context, repo imageref.Repository, dgst digest.Digest, v visitor) error {
	return s.visit(ctx, repo, dgst, v, 0)
}

func (s source) visit(ctx context.Context, repo imageref.Repository, dgst digest.Digest, v visitor, depth int) error {
	if depth > indexDepth {
		return fmt.Errorf("more than %d indexes deep", indexDepth)
	}
	body, desc, err := s.store.ReadManifest(ctx, repo, dgst)
	if err != nil {
		return err
	}
	m, err := manifest.Parse(body)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", dgst, err)
	}
	for _, d := range m.Blobs() {
		if err := v.blob(ctx, d); err != nil {
			return err
		}
	}
	if err := s.below(ctx, repo, m.Manifests, v, depth); err != nil {
		return err
	}
	return v.manifest(ctx, desc, body)
}

func (s source) below(ctx context.Context, repo imageref.Repository, children []ocispec.Descriptor, v visitor, depth int) error {
	visited := 0
	for _, d := range children {
		_, err := s.store.LinkedManifest(ctx, repo, d.Digest)
		if errors.Is(err, store.ErrNotFound) && !s.whole {
			continue
		}
		if err == nil {
			err = s.visit(ctx, repo, d.Digest, v, depth+1)
		}
		if err != nil {
			return err
		}
		visited++
	}
	if visited == 0 && len(children) > 0 {
		return fmt.Errorf("none of the index's manifests: %w", store.ErrNotFound)
	}
	return nil
}
