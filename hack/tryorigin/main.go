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

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/origin/debian"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "tryorigin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	address := flag.String("address", "127.0.0.1:5001", "host:port to listen at")
	larder := flag.String("larder", "127.0.0.1:7439", "host:port of the Larder that the printed lines pull through")
	flag.Parse()
	o, err := origin.Start(origin.WithAddress(*address), origin.OnDisk())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	images, err := push(ctx, o)
	if err != nil {
		return err
	}
	explain(o, *larder, images)
	<-ctx.Done()
	return nil
}

func push(ctx context.Context, o *origin.Origin) ([]origin.Image, error) {
	content := map[string]remote.Taggable{
		"random:latest": origin.RandomIndex(3, 1<<20, "linux/amd64", "linux/arm64"),
	}
	real, err := debian.Load("")
	switch {
	case err == nil:
		content["debian:latest"] = real
	case errors.Is(err, fs.ErrNotExist):
		fmt.Println("The Debian image was not built: go run ./hack/testimage (as root) builds it.")
	default:
		return nil, err
	}
	var images []origin.Image
	for reference, what := range content {
		img, err := o.PushContent(ctx, reference, what)
		if err != nil {
			return nil, err
		}
		images = append(images, img)
	}
	return images, nil
}

// explain prints how to pull: with the origin named in the path, whose port is written with an underscore.
func explain(o *origin.Origin, larder string, images []origin.Image) {
	fmt.Printf("The origin listens at %s. Larder must know it as plain HTTP: endpoint %s.\n\n", o.Host(), o.URL())
	for _, img := range images {
		through := larder + "/" + pathHost(o.Host()) + "/" + img.Name()
		fmt.Printf("  crane digest %s    # %s\n", o.Host()+"/"+img.Name(), img.Digest)
		fmt.Printf("  crane digest --insecure %s\n", through)
		fmt.Printf("  crane pull --insecure %s image.tar\n", through)
		fmt.Printf("  docker pull %s\n\n", through)
	}
	fmt.Println("Interrupt to end.")
}
