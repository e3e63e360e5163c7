package faults

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// TestFault_RedirectToAnotherHost has everything lie elsewhere, as large registries do it.
func TestFault_RedirectToAnotherHost(t *testing.T) {
	t.Parallel()
	o, other := origin.New(t), origin.New(t)
	s := newPlainSite(t, o, "updateInterval: 0s")
	content := origin.RandomImage(2, layerSize)
	img := o.Push(t, "app:1", content)
	other.Push(t, "app:1", content)
	o.Fail(origin.Everything(), origin.Redirect(other.URL()))
	base := s.url(process.Host, "app")
	pull(t, base, img)
	whole.checkList(t, ask(t, http.MethodGet, base+"/tags/list"), []string{"1"}, nil)
	nothing.checkList(t, ask(t, http.MethodGet, base+"/referrers/"+img.Digest.String()), nil, nil)

	other.Refuse()
	stale("unreachable").check(t, ask(t, http.MethodGet, base+"/manifests/1"), img.Digest)
	o.Heal()
	s.Restart(t)
	pull(t, s.url(process.Host, "app"), img)
	s.holdsOnlyWhole(t)
}

// forbidden are places where no origin may send Larder, by the names that they go by. %s is the port of Larder itself.
var forbidden = []struct {
	name, url string
	want      want
}{
	{"A link-local address", "http://169.254.169.254/latest/meta-data", denied},
	{"A link-local address of IPv6", "http://[fe80::1]/x", denied},
	{"A link-local address in IPv6", "http://[::ffff:169.254.169.254]/x", denied},
	{"The metadata address of AWS in IPv6", "http://[fd00:ec2::254]/x", denied},
	{"The metadata address of Azure", "http://168.63.129.16/x", denied},
	{"The unspecified address", "http://0.0.0.0:%s/v2/", denied},
	{"Larder itself", "http://127.0.0.1:%s/v2/reg.example/app/manifests/1", denied},
	{"Larder itself by name", "http://localhost:%s/v2/", denied},
	{"A file", "file:///etc/passwd", badGateway},
	{"A socket", "unix:///run/docker.sock", badGateway},
	{"Another protocol", "gopher://127.0.0.1:70/x", badGateway},
	{"No URL", "http://[", badGateway},
	{"Nothing", "http:", badGateway},
}

func TestHostile_RedirectsThatAreRefused(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	s := newPlainSite(t, o)
	_, port, _ := net.SplitHostPort(s.Addr)
	_, health, _ := net.SplitHostPort(s.Health)
	targets := append(forbidden, struct {
		name, url string
		want      want
	}{"Larder's metrics", "http://127.0.0.1:" + health + "/metrics", denied})
	requests := 0
	for i, test := range targets {
		requests += 6 // 5 GET and a HEAD, by us: Larder does not ask itself
		t.Run(test.name, func(t *testing.T) {
			repository := "app" + string(rune('a'+i))
			img := o.Push(t, repository+":1", origin.RandomImage(1, origin.MinLayerSize))
			o.Fail(origin.Everything().In(repository), origin.RedirectTo(strings.ReplaceAll(test.url, "%s", port)))
			base := s.url(process.Host, repository)
			for _, path := range []string{"/manifests/1", "/manifests/" + img.Digest.String(), "/blobs/" + img.Blobs[1].Digest.String(), "/tags/list",
				"/referrers/" + img.Digest.String()} {
				test.want.check(t, ask(t, http.MethodGet, base+path), "")
			}
			if a := ask(t, http.MethodHead, base+"/blobs/"+img.Blobs[0].Digest.String()); a.status != test.want.status {
				t.Errorf("got %v, want status %d", a, test.want.status)
			}
		})
	}
	if got := s.holdsOnlyWhole(t); got != 0 {
		t.Errorf("the store holds %d blobs, want none", got)
	}
	if got := s.served(t); got != requests {
		t.Errorf("Larder answered %v requests, of which %v were ours", got, requests)
	}
}

// TestHostile_TokenServicesThatAreRefused has a challenge, rather than a redirect, name the place.
func TestHostile_TokenServicesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range forbidden {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t)
			s := newPlainSite(t, o)
			_, port, _ := net.SplitHostPort(s.Addr)
			realm := strings.ReplaceAll(test.url, "%s", port)
			o.Fail(origin.Everything(), origin.Status(401, "WWW-Authenticate", `Bearer realm="`+realm+`",service="x"`))
			test.want.check(t, ask(t, http.MethodGet, s.url(process.Host, "app")+"/manifests/1"), "")
		})
	}
}

// TestHostile_OriginsThatAreRefused names such places in the path, as any client may.
func TestHostile_OriginsThatAreRefused(t *testing.T) {
	t.Parallel()
	bystander := origin.New(t)
	bystander.Push(t, "app:1", origin.RandomImage(1, origin.MinLayerSize))
	_, port, _ := net.SplitHostPort(bystander.Host())
	s := newPlainSite(t, origin.New(t))
	_, own, _ := net.SplitHostPort(s.Addr)
	for _, host := range []string{
		"169.254.169.254", "169.254.169.254_80", "100.100.100.200", "0.0.0.0_" + port, "127.0.0.1_" + port, "localhost_" + port,
		"localhost." + "_" + port, "127.0.0.1_" + own, "localhost_" + own, "app.localhost_" + port,
	} {
		t.Run(host, func(t *testing.T) {
			a := ask(t, http.MethodGet, s.url(host, "app")+"/manifests/1")
			if a.err != nil || a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
				t.Errorf("got %v, want it refused", a)
			}
		})
	}
	for _, ns := range []string{"169.254.169.254", "127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port, "0.0.0.0:" + port} {
		t.Run("ns "+ns, func(t *testing.T) {
			a := ask(t, http.MethodGet, "http://"+s.Addr+"/v2/app/manifests/1?ns="+ns)
			if a.err != nil || a.status != http.StatusForbidden && a.status != http.StatusNotFound {
				t.Errorf("got %v, want it refused", a)
			}
		})
	}
	if got := bystander.Stats().Connections; got != 0 {
		t.Errorf("Larder connected %d times", got)
	}
}

// TestHostile_D1_ThePagesOfAListLeadElsewhere has an origin name another host for the next page.
func TestHostile_D1_ThePagesOfAListLeadElsewhere(t *testing.T) {
	t.Parallel()
	o, other := origin.New(t), origin.New(t)
	s := newPlainSite(t, o)
	for _, repository := range []string{"app", "loop"} {
		o.Push(t, repository+":1", origin.RandomImage(1, origin.MinLayerSize))
	}
	o.Fail(origin.Tags().In("app"), origin.SetHeader("Link", "<"+other.URL()+`/v2/app/tags/list>; rel="next"`))
	badGateway.check(t, ask(t, http.MethodGet, s.url(process.Host, "app")+"/tags/list"), "")
	if got := other.Stats().Connections; got != 0 {
		t.Errorf("Larder connected %d times to the other host", got)
	}
	o.Fail(origin.Tags().In("loop"), origin.SetHeader("Link", `</v2/loop/tags/list>; rel="next"`))
	badGateway.check(t, ask(t, http.MethodGet, s.url(process.Host, "loop")+"/tags/list"), "")
	o.Heal()
	s.Restart(t)
	whole.checkList(t, ask(t, http.MethodGet, s.url(process.Host, "app")+"/tags/list"), []string{"1"}, nil)
}
