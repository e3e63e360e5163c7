package serve

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// example is the image of the line to try.
const example = "docker.io/library/alpine:latest"

// announcement is what a person wants to know of a process that has just started.
type announcement struct {
	listen, metrics string // addresses
	storage         string
	manifests       string // the folder
	read            summary
}

// print says it in a person's words.
func (a announcement) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Larder listens on %s (metrics and health on %s).\n", a.listen, a.metrics)
	fmt.Fprintf(&b, "Images are kept in %s.\n", a.storage)
	fmt.Fprintf(&b, "Policies in %s: %s, %s.\n", a.manifests,
		count(a.read.repositories, "Repository", "Repositories"), count(a.read.images, "CachedImage", "CachedImages"))
	for _, p := range a.read.problems {
		fmt.Fprintf(&b, "  not in force: %s\n", p)
	}
	host := reachable(a.listen)
	fmt.Fprintf(&b, "Try:  docker pull %s/%s\n", host, example)
	fmt.Fprintf(&b, "  or  crane pull%s %s/%s alpine.tar\n", insecure(host), host, example)
	_, err := io.WriteString(w, b.String())
	return err
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// reachable is the host:port under which a person on this machine reaches a listener.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && (addr.IsUnspecified() || addr.IsLoopback()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
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
