package upstream

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/larder-dev/larder/internal/imageref"
)

func nobody() []string { return nil }

func TestTrust_RefusedAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		address  string
		loopback bool
		refused  bool
	}{
		{"169.254.169.254", true, true},
		{"169.254.170.2", true, true},
		{"fe80::1", true, true},
		{"fd00:ec2::254", true, true},
		{"100.100.100.200", true, true},
		{"168.63.129.16", true, true},
		{"0.0.0.0", true, true},
		{"::", true, true},
		{"224.0.0.1", true, true},
		{"ff02::1", true, true},
		{"255.255.255.255", true, true},
		{"::ffff:169.254.169.254", true, true},
		{"64:ff9b::a9fe:a9fe", true, true},
		{"127.0.0.1", false, true},
		{"::1", false, true},
		{"::ffff:127.0.0.2", false, true},
		{"64:ff9b::7f00:1", false, true},
		{"127.0.0.1", true, false},
		{"::1", true, false},
		{"10.0.0.1", false, false},
		{"192.168.1.1", false, false},
		{"fd00::1", false, false},
		{"93.184.216.34", false, false},
		{"2606:2800:220:1::1", false, false},
	} {
		g := &guard{loopback: tt.loopback, self: nobody}
		if err := g.checkAddr(netip.MustParseAddr(tt.address)); (err != nil) != tt.refused {
			t.Errorf("%s, loopback allowed %t: got %v", tt.address, tt.loopback, err)
		}
	}
}

func TestTrust_Self(t *testing.T) {
	t.Parallel()
	var own string
	addrs, err := net.InterfaceAddrs()
	must(t, err)
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && !prefix.Addr().IsLoopback() && prefix.Addr().Is4() {
			own = prefix.Addr().String()
		}
	}
	for _, tt := range []struct {
		target, listener string
		self             bool
	}{
		{"127.0.0.1:5000", "127.0.0.1:5000", true},
		{"127.0.0.9:5000", "127.0.0.1:5000", true},
		{"[::1]:5000", "localhost:5000", true},
		{"127.0.0.1:5000", "[::]:5000", true},
		{"127.0.0.1:5000", ":5000", true},
		{own + ":5000", "0.0.0.0:5000", true},
		{"10.1.2.3:443", "10.1.2.3:443", true},
		{"127.0.0.1:5001", "127.0.0.1:5000", false},
		{"10.1.2.4:443", "10.1.2.3:443", false},
		{"192.0.2.1:5000", "0.0.0.0:5000", false},
	} {
		target, err := netip.ParseAddrPort(tt.target)
		if err != nil {
			continue // this machine has no address but loopback
		}
		if got := isSelf(target, tt.listener); got != tt.self {
			t.Errorf("target %s, listener %s: got %t", tt.target, tt.listener, got)
		}
	}
}

// What counts is the address that is connected to, not the name.
func TestTrust_NameThatResolvesToLoopbackIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, serveManifest)
	_, port, err := net.SplitHostPort(hostOf(t, s.URL))
	must(t, err)
	g := &guard{self: nobody, proxies: &sync.Map{}}
	conn, err := g.dial(t.Context(), "tcp", "localhost:"+port)
	if _, ok := errors.AsType[*refusal](err); !ok {
		t.Errorf("got %v, %v, want a refusal", conn, err)
	}
}

func TestTrust_UnlistedHostsAreNeverPlainHTTPNorLoopback(t *testing.T) {
	t.Parallel()
	s := serve(t, serveManifest)
	host := hostOf(t, s.URL)
	c := newClient(t)
	for _, name := range []string{host, strings.Replace(host, "127.0.0.1", "localhost", 1), "169.254.169.254", "[fe80::1]:5000"} {
		_, err := c.Manifest(t.Context(), app(name), "latest")
		_ = wantError(t, err, Refused)
	}
	for name, want := range map[string]string{
		"docker.io":      "https://registry-1.docker.io/v2/library/nginx/manifests/1",
		"10.0.0.1:5000":  "https://10.0.0.1:5000/v2/library/nginx/manifests/1",
		"localhost:5000": "https://localhost:5000/v2/library/nginx/manifests/1",
	} {
		o, err := c.origin(name)
		must(t, err)
		a := &attempt{endpoint: o.endpoints[0], repo: imageref.Repository{Host: name, Path: "library/nginx"}}
		if got := a.path("manifests/1", nil).String(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestTrust_LarderItselfIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, serveManifest)
	host := hostOf(t, s.URL)
	c := newClientWith(t, Options{
		Registries: []Registry{at("self.test", s.URL), at("alias.test", strings.Replace(s.URL, "127.0.0.1", "localhost", 1))},
		Self:       func() []string { return []string{host} },
	})
	for _, name := range []string{"self.test", "alias.test"} {
		_, err := c.Manifest(t.Context(), app(name), "latest")
		if e := wantError(t, err, Refused); !strings.Contains(e.Error(), "Larder itself") {
			t.Errorf("got %v", e)
		}
	}
}
