// Tryorigin runs an origin registry on this machine, for trying Larder where no real one is within reach. It holds a small random
// image and, if it was built (see hack/testimage), the Debian image.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/origin/debian"
)

func main() {
	address := flag.String("address", "127.0.0.1:5001", "host:port to listen at")
	larder := flag.String("larder", "127.0.0.1:7439", "host:port of the Larder that the printed lines pull through")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *address, *larder); err != nil {
		fmt.Fprintln(os.Stderr, "tryorigin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address, larder string) (err error) {
	o, err := origin.Start(origin.WithAddress(address), origin.OnDisk())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	images, err := push(ctx, o)
	if err != nil {
		return err
	}
	if err := explain(o, larder, images); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func push(ctx context.Context, o *origin.Origin) ([]origin.Image, error) {
	random, err := o.PushContent(ctx, "random:latest", origin.RandomIndex(3, 1<<20, "linux/amd64", "linux/arm64"))
	if err != nil {
		return nil, err
	}
	images := []origin.Image{random}
	system, err := debian.Load("")
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Println("The Debian image was not built; go run ./hack/testimage (as root) builds it.")
		return images, nil
	}
	if err != nil {
		return nil, err
	}
	img, err := o.PushContent(ctx, "debian:latest", system)
	return append(images, img), err
}

// explain prints how to pull: with the origin named in the path, as Larder writes hosts there.
func explain(o *origin.Origin, larder string, images []origin.Image) error {
	fmt.Printf(`The origin listens at %s. Larder's configuration must name it as plain HTTP:

  registries:
    - host: %q
      endpoints: [%q]

Then:

`, o.Host(), o.Host(), o.URL())
	for _, img := range images {
		repo, err := imageref.ParseRepository(o.Host() + "/" + img.Repository)
		if err != nil {
			return err
		}
		through := larder + "/" + repo.Encode() + ":" + img.Tag
		fmt.Printf("  crane digest --insecure %s/%s   # at the origin: %s\n", o.Host(), img.Name(), img.Digest)
		fmt.Printf("  crane digest --insecure %s\n", through)
		fmt.Printf("  crane pull --insecure %s %s.tar\n", through, img.Repository)
		fmt.Printf("  docker pull %s\n\n", through)
	}
	fmt.Println("Interrupt to end.")
	return nil
}
