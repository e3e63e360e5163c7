package move

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/layout"
	"github.com/larder-dev/larder/internal/options/serve"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ExportOptions say what to export.
type ExportOptions struct {
	serve.Cache                      // where the images are
	Images      []imageref.Reference // which
	All         bool                 // every tag there is, instead
	Output      string               // a tar file where it ends in .tar, else a folder
	Out         io.Writer            // takes a line for each image
}

// Export writes images as an OCI layout. After an error there is none.
func Export(ctx context.Context, o ExportOptions, log logr.Logger) error {
	from, err := openSource(ctx, o.Cache, log)
	if err != nil {
		return err
	}
	images := o.Images
	if o.All {
		if images, err = from.all(ctx); err != nil {
			return err
		}
	}
	if len(images) == 0 {
		return errors.New("there is no image to export")
	}
	to, err := layout.Create(o.Output)
	if err != nil {
		return err
	}
	for _, ref := range images {
		if err := exportImage(ctx, from, to, ref, o.Out); err != nil {
			return errors.Join(fmt.Errorf("exporting %s: %w", ref, err), to.Discard())
		}
	}
	return to.Close()
}

func exportImage(ctx context.Context, from source, to *layout.Writer, ref imageref.Reference, out io.Writer) error {
	desc, err := from.resolve(ctx, ref)
	if err != nil {
		return err
	}
	if err := from.walk(ctx, ref.Repository, desc.Digest, exporter{from, to}); err != nil {
		return advise(ref, err)
	}
	to.Image(layout.Named(ref, desc))
	_, err = fmt.Fprintf(out, "%s: digest %s\n", ref, desc.Digest)
	return err
}

// exporter writes what it is shown into a layout, each blob once and verified.
type exporter struct {
	from source
	to   *layout.Writer
}

func (e exporter) manifest(_ context.Context, desc ocispec.Descriptor, body []byte) error {
	if e.to.Has(desc.Digest) {
		return nil
	}
	return e.to.Blob(desc.Digest, desc.Size, bytes.NewReader(body)) // read verified
}

func (e exporter) blob(ctx context.Context, desc ocispec.Descriptor) error {
	if e.to.Has(desc.Digest) {
		return nil
	}
	stored, err := e.from.store.OpenBlob(ctx, desc.Digest, desc.Size)
	if err != nil {
		return err
	}
	defer stored.Close()
	verifier := desc.Digest.Verifier()
	if err := e.to.Blob(desc.Digest, desc.Size, io.TeeReader(stored, verifier)); err != nil {
		return err
	}
	if !verifier.Verified() {
		return fmt.Errorf("blob %s is damaged in the store", desc.Digest)
	}
	return nil
}
