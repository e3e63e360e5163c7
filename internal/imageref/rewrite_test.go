package imageref

import (
	"testing"

	"github.com/distribution/reference"
)

const proxyAddress = "localhost:7439"

func TestRewrite(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ in, want, short string }{
		"A short name":           {"nginx", "localhost:7439/docker.io/library/nginx:latest", "nginx:latest"},
		"A tag":                  {"nginx:1.27", "localhost:7439/docker.io/library/nginx:1.27", "nginx:1.27"},
		"A tag in upper case":    {"nginx:V1", "localhost:7439/docker.io/library/nginx:V1", "nginx:V1"},
		"A digest":               {"nginx@" + sha256Digest, "localhost:7439/docker.io/library/nginx@" + sha256Digest, "nginx@" + sha256Digest},
		"A tag and a digest":     {"org/app:1@" + sha512Digest, "localhost:7439/docker.io/org/app:1@" + sha512Digest, "org/app:1@" + sha512Digest},
		"A host":                 {"GHCR.io/a/b:x", "localhost:7439/ghcr.io/a/b:x", "ghcr.io/a/b:x"},
		"A host with a port":     {"reg.example:5000/app:1", "localhost:7439/reg.example_5000/app:1", "reg.example:5000/app:1"},
		"A host of one label":    {"registry:5000/app", "localhost:7439/registry_5000/app:latest", "registry:5000/app:latest"},
		"A host with a number":   {"reg.node-1/app:1", "localhost:7439/reg.node-1_443/app:1", "reg.node-1/app:1"},
		"An IPv6 host":           {"[fd00::1]:5000/a", "localhost:7439/fd00_0000_0000_0000_0000_0000_0000_0001_5000/a:latest", "[fd00::1]:5000/a:latest"},
		"A genuine localhost":    {"localhost:5000/x", "localhost:7439/localhost_5000/x:latest", "localhost:5000/x:latest"},
		"Hub's localhost":        {"docker.io/localhost/app", "localhost:7439/docker.io/localhost/app:latest", "docker.io/localhost/app:latest"},
		"A tag like a port":      {"localhost:5000", "localhost:7439/docker.io/library/localhost:5000", "localhost:5000"},
		"The proxy's own images": {"localhost:7439/a/b", "localhost:7439/localhost_7439/a/b:latest", "localhost:7439/a/b:latest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref, err := Parse(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := ref.Rewrite(proxyAddress); got != test.want {
				t.Errorf("Rewrite = %q, want %q", got, test.want)
			}
			if got := ref.Short(); got != test.short {
				t.Errorf("Short = %q, want %q", got, test.short)
			}
			inverts(t, ref)
		})
	}
}

func TestInvert(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ in, want string }{
		"Another registry":               {"localhost:5000/x", ""},
		"An address that only begins so": {"localhost:74390/nginx", ""},
		"No registry":                    {"nginx:1", ""},
		"Nothing behind it":              {"localhost:7439/", ""},
		"A host alone":                   {"localhost:7439/docker.io", ""},
		"No tag by its colon":            {"localhost:7439/nginx:", ""},
		"A port that is written as one":  {"localhost:7439/reg.example:5000/app", ""},
		"A way out":                      {"localhost:7439/../nginx", ""},
		"Hub's short form":               {"localhost:7439/nginx", "docker.io/library/nginx:latest"},
		"kube-image-keeper's port":       {"localhost:7439/reg.example-5000/app:1", "reg.example:5000/app:1"},
		"Hub's host without library":     {"localhost:7439/docker.io/nginx@" + sha256Digest, "docker.io/library/nginx@" + sha256Digest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref, ok := Invert(proxyAddress, test.in)
			if ok != (test.want != "") || ok && ref.String() != test.want {
				t.Errorf("Invert(%q) = %q, %v, want %q", test.in, ref, ok, test.want)
			}
		})
	}
}

// inverts checks that a reference comes back from its rewritten and its short form.
func inverts(t *testing.T, ref Reference) {
	t.Helper()
	for _, address := range []string{proxyAddress, "127.0.0.1:7439", "[::1]:7439", "larder"} {
		if back, ok := Invert(address, ref.Rewrite(address)); !ok || back != ref {
			t.Errorf("%q is rewritten to %q, which is inverted to %q (%v)", ref, ref.Rewrite(address), back, ok)
		}
	}
	if back, err := Parse(ref.Short()); err != nil || back != ref {
		t.Errorf("%q is %q in short, which reads as %q, %v", ref, ref.Short(), back, err)
	}
}

func FuzzRewrite(f *testing.F) {
	for _, s := range []string{
		"nginx", "nginx:V1@" + sha256Digest, "docker.io/localhost/app", "localhost:7439/docker.io/nginx", "reg.node-1/app:x",
		"[fd00::1]:5000/a", "registry:5000/a/b", "localhost-5000/app", "reg.xn--abc-5000/a", "org_80/app", "docker.io/org.example/app",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := Parse(s)
		if err != nil {
			return
		}
		inverts(t, ref)
		rewritten := ref.Rewrite(proxyAddress)
		if len(ref.Repository.Encode()) > 255 {
			return // longer than container runtimes allow
		}
		named, err := reference.ParseNormalizedNamed(rewritten)
		if err != nil || reference.Domain(named) != proxyAddress {
			t.Errorf("%q is rewritten to %q: a container runtime reads %v, %v", s, rewritten, named, err)
		}
	})
}

func FuzzInvert(f *testing.F) {
	for _, s := range []string{"nginx", "docker.io/nginx:1", "reg.example-5000/a@" + sha256Digest, "_80/a", "a/../b", "docker.io/docker.io"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, ok := Invert(proxyAddress, proxyAddress+"/"+s)
		if !ok {
			return
		}
		if again, err := Parse(ref.String()); err != nil || again != ref {
			t.Errorf("%q is inverted to %q, which reads as %q, %v", s, ref, again, err)
		}
		inverts(t, ref)
	})
}
