package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// command is a binary that gets an image of its own.
type command struct {
	name  string // of the binary and the image
	pkg   string // what go build is told
	title string
}

var commands = []command{
	{name: "larder", pkg: "./cmd/larder", title: "Larder: registry, controller and command line"},
	{name: "larder-proxy", pkg: "./cmd/larder-proxy", title: "Larder: the proxy on each node"},
}

var platforms = []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}

// buildOptions says what is built, and from what.
type buildOptions struct {
	source    string // the module's folder
	out       string // one layout a command is written below it
	version   string
	prefix    string // of the images' names, such as ghcr.io/larder-dev
	ldflags   string
	licences  string // file; empty: the SBOM names none
	created   time.Time
	commands  []command
	platforms []v1.Platform
}

func parseBuild(args []string, stderr io.Writer) (buildOptions, error) {
	o := buildOptions{commands: commands, platforms: platforms}
	flags := newFlags("image", stderr)
	flags.StringVar(&o.source, "source", ".", "the module's `folder`")
	flags.StringVar(&o.out, "out", "bin/image", "`folder` for the layouts")
	flags.StringVar(&o.version, "version", "", "version, the images' tag (required)")
	flags.StringVar(&o.prefix, "prefix", "ghcr.io/larder-dev", "what comes before the images' names where containerd keeps them")
	flags.StringVar(&o.ldflags, "ldflags", "", "flags for the linker")
	flags.StringVar(&o.licences, "licences", "docs/licenses.csv", "`file` with the licences of the modules")
	here := flags.Bool("here", false, "for this machine's architecture alone")
	epoch := flags.Int64("epoch", 0, "when the source was made, in `seconds` since 1970: the time of everything in the images")
	if err := flags.Parse(args); err != nil {
		return buildOptions{}, err
	}
	if o.version == "" {
		return buildOptions{}, errors.New("-version is missing: make image gives it, from git describe")
	}
	if *here {
		o.platforms = []v1.Platform{{OS: "linux", Architecture: runtime.GOARCH}}
	}
	o.created = time.Unix(*epoch, 0).UTC()
	return o, nil
}

// loadOptions says where the built images go: one of registry and containerd.
type loadOptions struct {
	in         string
	registry   string
	plainHTTP  bool
	containerd string
	ctr        string
	commands   []command
}

func parseLoad(args []string, stderr io.Writer) (loadOptions, error) {
	o := loadOptions{commands: commands}
	flags := newFlags("image load", stderr)
	flags.StringVar(&o.in, "in", "bin/image", "`folder` with the layouts")
	flags.StringVar(&o.registry, "registry", "", "push to this `host:port/prefix`")
	flags.BoolVar(&o.plainHTTP, "plain-http", false, "allow plain HTTP to a registry that is not on loopback")
	flags.StringVar(&o.containerd, "containerd", "", "import through this `socket` of containerd")
	flags.StringVar(&o.ctr, "ctr", "ctr", "containerd's command line")
	if err := flags.Parse(args); err != nil {
		return loadOptions{}, err
	}
	if (o.registry == "") == (o.containerd == "") {
		return loadOptions{}, errors.New("say where the images go, to one of: make image-load IMAGE_REGISTRY=host:port/prefix, or " +
			"make image-load CONTAINERD=/run/containerd/containerd.sock")
	}
	return o, nil
}

func newFlags(name string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Usage: go run ./hack/%s [flags]\n", name)
		flags.PrintDefaults()
	}
	return flags
}
