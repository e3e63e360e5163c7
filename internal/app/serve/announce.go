package serve

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/server"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/internal/version"
)

// exposed is said of an address that others can reach.
const exposed = "Everyone who reaches this address can pull every stored image."

// announcement is what a person wants to know of a process that has just started.
type announcement struct {
	listen, metrics string // addresses
	storage         string
	manifests       string // the folder
	read            summary
	registries      []upstream.Registry
	warnings        []string // of what is configured without effect
}

// idle lists what the configuration file says without effect.
func idle(defaults policy.Defaults) []string {
	if defaults.Interval == nil && len(defaults.Filters) > 0 {
		return []string{"updateFilters in the configuration file: they choose tags for its updateInterval, which is not set"}
	}
	return nil
}

// print says it in a person's words.
func (a announcement) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Larder listens on %s (metrics and health on %s).\n", a.listen, a.metrics)
	if !onLoopback(a.listen) {
		fmt.Fprintln(&b, exposed)
	}
	fmt.Fprintf(&b, "Images are kept in %s.\n", a.storage)
	fmt.Fprintf(&b, "Policies in %s: %s, %s.\n", a.manifests,
		count(a.read.repositories, "Repository", "Repositories"), count(a.read.images, "CachedImage", "CachedImages"))
	for _, p := range a.read.problems {
		fmt.Fprintf(&b, "  not in force: %s\n", p)
	}
	for _, warning := range a.warnings {
		fmt.Fprintf(&b, "  no effect: %s\n", warning)
	}
	host := server.Reachable(a.listen)
	image, file := example(a.registries)
	fmt.Fprintf(&b, "Try:  docker pull %s/%s\n", host, image)
	fmt.Fprintf(&b, "  or  crane pull%s %s/%s %s\n", insecure(host), host, image, file)
	_, err := io.WriteString(w, b.String())
	return err
}

// log says it to a machine.
func (a announcement) log(log logr.Logger) {
	log.Info("listening", "version", version.Version(), "listen", a.listen, "metricsListen", a.metrics, "storage", a.storage,
		"manifests", a.manifests, "repositories", a.read.repositories, "images", a.read.images)
	if !onLoopback(a.listen) {
		log.Info("everyone who reaches the address can pull every stored image", "listen", a.listen)
	}
	for _, warning := range a.warnings {
		log.Info("no effect", "reason", warning)
	}
	a.read.report(log)
}

// example is an image to pull, and a file to pull it to. Where the configuration lists registries, but not Docker Hub, only a person knows
// what they hold.
func example(registries []upstream.Registry) (image, file string) {
	hub := func(r upstream.Registry) bool { return r.Host == "docker.io" }
	if len(registries) == 0 || slices.ContainsFunc(registries, hub) {
		return "docker.io/library/alpine:latest", "alpine.tar"
	}
	return imageref.Repository{Host: registries[0].Host, Path: "IMAGE"}.Encode() + ":TAG", "image.tar"
}

// onLoopback says whether only this machine reaches a listener.
func onLoopback(listen string) bool {
	addr, err := netip.ParseAddrPort(listen)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// insecure is the flag that crane needs to speak plain HTTP; to localhost it does so by itself.
func insecure(hostport string) string {
	if strings.HasPrefix(hostport, "localhost:") {
		return ""
	}
	return " --insecure"
}

// place is a line of a file, or the file.
func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}
