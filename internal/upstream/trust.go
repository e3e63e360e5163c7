package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const dialTimeout = 10 * time.Second

// refusal is the error of a connection that Larder itself does not make.
type refusal struct {
	target string
	why    string
}

func (r *refusal) Error() string { return "refusing to connect to " + r.target + ": " + r.why }

// metadata are the addresses of cloud metadata services that are not link-local.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
}

// nat64 is the prefix under which a translator reaches IPv4 addresses (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// guard decides which addresses may be connected to.
type guard struct {
	loopback bool            // the configured endpoint is on loopback: so may be what it redirects to
	self     func() []string // host:port pairs of this process
	proxies  *sync.Map       // host:port of the environment's proxies that were used: exempt
}

// checkURL refuses what can be told from the URL alone. Behind a proxy this is all that can be told.
func (g *guard) checkURL(u *url.URL) error {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if slices.Contains(g.self(), hostPort(u)) {
		return &refusal{u.Host, "it is Larder itself"}
	}
	if !g.loopback && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
		return &refusal{u.Host, "it is a loopback address"}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.checkAddr(addr)
	}
	return nil
}

// dial connects, and checks each resolved address just before the connection is made: what a name resolved to before is
// worth nothing.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if _, exempt := g.proxies.Load(address); !exempt {
		d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			return g.checkDial(resolved)
		}
	}
	return d.DialContext(ctx, network, address)
}

func (g *guard) checkDial(resolved string) error {
	target, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return fmt.Errorf("parsing address %q: %w", resolved, err)
	}
	if err := g.checkAddr(target.Addr()); err != nil {
		return err
	}
	for _, listener := range g.self() {
		if isSelf(target, listener) {
			return &refusal{resolved, "it is Larder itself"}
		}
	}
	return nil
}

func (g *guard) checkAddr(addr netip.Addr) error {
	addr = embedded(addr)
	switch {
	case addr.IsLinkLocalUnicast():
		return &refusal{addr.String(), "it is a link-local address"}
	case slices.Contains(metadata, addr.WithZone("")):
		return &refusal{addr.String(), "it is a cloud metadata address"}
	case addr.IsUnspecified():
		return &refusal{addr.String(), "it is the unspecified address"}
	case addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return &refusal{addr.String(), "it is a multicast or broadcast address"}
	case addr.IsLoopback() && !g.loopback:
		return &refusal{addr.String(), "it is a loopback address"}
	}
	return nil
}

// embedded returns the IPv4 address that an IPv6 address stands for, or the address itself.
func embedded(addr netip.Addr) netip.Addr {
	if nat64.Contains(addr.WithZone("")) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr.Unmap()
}

// isSelf says whether target reaches the socket that listens on listener ("127.0.0.1:5000", "[::]:5000").
func isSelf(target netip.AddrPort, listener string) bool {
	host, port, err := net.SplitHostPort(listener)
	if err != nil || port != fmt.Sprint(target.Port()) {
		return false
	}
	addr, err := netip.ParseAddr(host)
	unspecified := host == "" || err == nil && addr.IsUnspecified()
	to := target.Addr().Unmap()
	switch {
	case unspecified:
		return to.IsLoopback() || isLocal(to)
	case host == "localhost" || err == nil && addr.IsLoopback():
		return to.IsLoopback()
	default:
		return err == nil && addr.Unmap() == to
	}
}

// isLocal says whether addr belongs to an interface of this machine.
func isLocal(addr netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap() == addr.WithZone("")
	})
}

// isLoopbackHost says whether a configured host is written as loopback.
func isLoopbackHost(host string) bool {
	host = strings.ToLower(host)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.Unmap().IsLoopback()
}

// hostPort is the address that a URL leads to, with the port that its scheme implies.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// sameOrigin says whether two URLs have scheme, host and port in common.
func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && hostPort(a) == hostPort(b) }
