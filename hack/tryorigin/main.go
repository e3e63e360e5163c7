// Tryorigin runs an origin registry on this machine, for trying Larder where no real one is within reach. It holds a small random
// image and, if it was built (see hack/testimage), the Debian image.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/origin/debian"
)

// byExample is where docs/examples/try.yaml expects the origin, under the name host.
const (
	byExample = "127.0.0.1:5001"
	host      = "try.example"
)

func main() {
	address := flag.String("address", byExample, "host:port to listen at")
	larder := flag.String("larder", "localhost:7439", "host:port of the Larder that the printed lines pull through")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "Usage: go run ./hack/tryorigin [flags]")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *address, *larder); err != nil {
		fmt.Fprintln(os.Stderr, "tryorigin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, address, larder string) (err error) {
	o, err := origin.Start(origin.WithAddress(address), origin.OnDisk())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	o.Refuse() // a pull that comes too early must not learn that there is no such image
	images, err := push(ctx, out, o)
	if err != nil {
		return err
	}
	o.Heal()
	if err := explain(out, o.Host(), larder, images); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func push(ctx context.Context, out io.Writer, o *origin.Origin) ([]origin.Image, error) {
	random, err := o.PushContent(ctx, "random:latest", origin.RandomIndex(3, 1<<20, "linux/amd64", "linux/arm64"))
	if err != nil {
		return nil, err
	}
	images := []origin.Image{random}
	system, err := debian.Load("")
	if errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintln(out, "The Debian image was not built; go run ./hack/testimage (as root) builds it.")
		return images, err
	}
	if err != nil {
		return nil, err
	}
	img, err := o.PushContent(ctx, "debian:latest", system)
	return append(images, img), err
}

// explain prints how Larder gets to know the origin, and how to pull then.
func explain(out io.Writer, address, larder string, images []origin.Image) error {
	var b strings.Builder
	fmt.Fprintf(&b, "The origin listens at %s. ", address)
	if address == byExample {
		fmt.Fprintf(&b, "docs/examples/try.yaml has it as %s:\n\n  make run CONFIG=docs/examples/try.yaml\n", host)
	} else {
		fmt.Fprintf(&b, "Larder's configuration must name it as plain HTTP:\n\n"+
			"  registries:\n    - host: %s\n      endpoints: ['http://%s']\n", host, address)
	}
	b.WriteString("\nThen:\n\n")
	for _, img := range images {
		through := larder + "/" + host + "/" + img.Name()
		fmt.Fprintf(&b, "  crane digest %s   # at the origin: %s\n", through, img.Digest)
		fmt.Fprintf(&b, "  crane pull %s %s.tar\n", through, img.Repository)
		fmt.Fprintf(&b, "  docker pull %s\n\n", through)
	}
	b.WriteString("Interrupt to end.\n")
	_, err := io.WriteString(out, b.String())
	return err
}
