package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// load puts every image where the options say, and prints what it is called there.
func (o loadOptions) load(ctx context.Context, stdout io.Writer) error {
	for _, cmd := range o.commands {
		dir := filepath.Join(o.in, cmd.name)
		if _, err := layout.FromPath(dir); err != nil {
			return fmt.Errorf("reading the layout of %s: %w (make image writes it)", cmd.name, err)
		}
		send := o.push
		if o.containerd != "" {
			send = o.importTar
		}
		if err := send(ctx, cmd, dir, stdout); err != nil {
			return err
		}
	}
	return nil
}

// importTar lets ctr import the image for the kubelet to see.
func (o loadOptions) importTar(ctx context.Context, _ command, dir string, stdout io.Writer) error {
	cmd := exec.CommandContext(ctx, o.ctr, "--address", o.containerd, "--namespace", "k8s.io", "images", "import", dir+".tar")
	said, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("importing %s.tar with ctr: %w\n%s", dir, err, strings.TrimSpace(string(said)))
	}
	_, err = stdout.Write(said)
	return err
}

// push pushes all that the layout lists: the index by its tag, the SBOMs by their digests.
func (o loadOptions) push(ctx context.Context, cmd command, dir string, stdout io.Writer) error {
	repository, err := o.repository(cmd)
	if err != nil {
		return err
	}
	list, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return fmt.Errorf("reading the layout of %s: %w", cmd.name, err)
	}
	manifest, err := list.IndexManifest()
	if err != nil {
		return fmt.Errorf("reading the layout of %s: %w", cmd.name, err)
	}
	options := []remote.Option{
		remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(o.transport()),
	}
	for _, desc := range manifest.Manifests {
		ref, err := pushOne(repository, list, desc, options)
		if err != nil {
			return fmt.Errorf("pushing %s: %w", cmd.name, err)
		}
		fmt.Fprintf(stdout, "%s %s\n", ref, desc.Digest)
	}
	return nil
}

func pushOne(repository name.Repository, list v1.ImageIndex, desc v1.Descriptor, options []remote.Option) (name.Reference, error) {
	if desc.MediaType.IsIndex() {
		idx, err := list.ImageIndex(desc.Digest)
		if err != nil {
			return nil, err
		}
		tag := repository.Tag(desc.Annotations[ocispec.AnnotationRefName])
		return tag, remote.WriteIndex(tag, idx, options...)
	}
	img, err := list.Image(desc.Digest)
	if err != nil {
		return nil, err
	}
	ref := repository.Digest(desc.Digest.String())
	return ref, remote.Write(ref, img, options...)
}

func (o loadOptions) repository(cmd command) (name.Repository, error) {
	var options []name.Option
	if o.plainHTTP {
		options = append(options, name.Insecure)
	}
	repository, err := name.NewRepository(strings.TrimSuffix(o.registry, "/")+"/"+cmd.name, options...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("IMAGE_REGISTRY=%s: %w: write host:port/prefix", o.registry, err)
	}
	return repository, nil
}

func (o loadOptions) transport() http.RoundTripper {
	if o.plainHTTP {
		return remote.DefaultTransport
	}
	return guarded{}
}

// guarded sends nothing over plain HTTP to another machine: go-containerregistry would, to private addresses.
type guarded struct{}

func (guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !loopback(r.URL.Hostname()) {
		return nil, fmt.Errorf("%s would be asked over plain HTTP: allow it with IMAGE_PLAIN_HTTP=true", r.URL.Host)
	}
	return remote.DefaultTransport.RoundTrip(r)
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
