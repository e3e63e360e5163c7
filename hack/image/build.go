package main

import (
	"context"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// platformImage is the image of one platform with its SBOM.
type platformImage struct {
	platform v1.Platform
	image    v1.Image
	sbom     []byte
}

// build writes a layout for each command, and prints the digests.
func (o buildOptions) build(ctx context.Context, stdout io.Writer) error {
	licences, err := readLicences(o.licences)
	if err != nil {
		return err
	}
	for _, cmd := range o.commands {
		dgst, err := o.buildCommand(ctx, cmd, licences)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s:%s@%s\n", cmd.name, o.version, dgst)
	}
	return nil
}

func (o buildOptions) buildCommand(ctx context.Context, cmd command, licences map[string]string) (v1.Hash, error) {
	dir, err := os.MkdirTemp("", "larder-image-")
	if err != nil {
		return v1.Hash{}, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	var built []platformImage
	for _, p := range o.platforms {
		b, err := o.buildPlatform(ctx, cmd, p, dir, licences)
		if err != nil {
			return v1.Hash{}, err
		}
		built = append(built, b)
	}
	idx := o.index(cmd, built)
	if err := o.write(cmd, idx, built); err != nil {
		return v1.Hash{}, fmt.Errorf("writing the layout of %s: %w", cmd.name, err)
	}
	return idx.Digest()
}

func (o buildOptions) buildPlatform(
	ctx context.Context, cmd command, p v1.Platform, dir string, licences map[string]string,
) (platformImage, error) {
	binary, err := o.compile(ctx, cmd, p, dir)
	if err != nil {
		return platformImage{}, err
	}
	img, err := o.image(cmd, p, binary)
	if err != nil {
		return platformImage{}, err
	}
	sbom, err := o.bill(cmd, binary, licences)
	return platformImage{platform: p, image: img, sbom: sbom}, err
}
