package imageref

import (
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Repository{
		"nginx":                                       {"docker.io", "library/nginx"},
		"org/app":                                     {"docker.io", "org/app"},
		"org-5000/app":                                {"docker.io", "org-5000/app"},
		"org_99999/app":                               {"docker.io", "org_99999/app"},
		"docker.io/nginx":                             {"docker.io", "library/nginx"},
		"index.docker.io/nginx":                       {"docker.io", "library/nginx"},
		"registry-1.docker.io/org/app":                {"docker.io", "org/app"},
		"ghcr.io/a/b":                                 {"ghcr.io", "a/b"},
		"GHCR.IO/a/b":                                 {"ghcr.io", "a/b"},
		"localhost/app":                               {"localhost", "app"},
		"localhost_5000/app":                          {"localhost:5000", "app"},
		"localhost-5000/app":                          {"localhost:5000", "app"},
		"registry_5000/app":                           {"registry:5000", "app"},
		"reg.example_5000/a/b":                        {"reg.example:5000", "a/b"},
		"reg.example-5000/a/b":                        {"reg.example:5000", "a/b"},
		"reg.example-05000/app":                       {"reg.example-05000", "app"},
		"reg.example-70000/app":                       {"reg.example-70000", "app"},
		"reg.example-1.org/app":                       {"reg.example-1.org", "app"},
		"10.0.0.1/app":                                {"10.0.0.1", "app"},
		"10.0.0.1_5000/app":                           {"10.0.0.1:5000", "app"},
		"10.0.0.1-5000/app":                           {"10.0.0.1:5000", "app"},
		"registry.node-1_443/app":                     {"registry.node-1", "app"},
		"registry.node-1/app":                         {"registry.node:1", "app"},
		"registry.node-1_5000/app":                    {"registry.node-1:5000", "app"},
		"reg.xn--5000/app":                            {"reg.xn--5000", "app"},
		"reg.xn--abc-5000/app":                        {"reg.xn--abc-5000", "app"},
		"reg.xn--abc-5000_5000/app":                   {"reg.xn--abc-5000:5000", "app"},
		"xn--bcher-kva.example-5000/app":              {"xn--bcher-kva.example:5000", "app"},
		"fd00_0000_0000_0000_0000_0000_0000_0001/app": {"[fd00::1]", "app"},
		"fd00_0000_0000_0000_0000_0000_0000_0001_5000/app":  {"[fd00::1]:5000", "app"},
		"fd00_0000_0000_0000_0000_0000_0000_0001_99999/app": {"docker.io", "fd00_0000_0000_0000_0000_0000_0000_0001_99999/app"},
		"FD00_0000_0000_0000_0000_0000_0000_5000/app":       {"[fd00::5000]", "app"},
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePath(in)
			if err != nil || got != want {
				t.Errorf("ParsePath(%q) = %q, %v, want %q", in, got, err, want)
			}
		})
	}
}

func TestParsePath_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                            "repository is missing",
		"ghcr.io":                     "no repository",
		"ghcr.io/":                    "repository is missing",
		"localhost_5000":              "no repository",
		"Org/app":                     "lower case",
		"ghcr.io/App":                 "lower case",
		"ghcr.io/../etc":              "must begin and end",
		"../etc":                      "empty part",
		"..":                          "names a host",
		"ghcr.io//app":                "component is empty",
		"ghcr.io/app/":                "component is empty",
		"/app":                        "component is empty",
		"ghcr.io/a%2fb":               "must not contain '%'",
		"reg.example:5000/a":          "host_5000",
		"my_org_5000/app":             "must not contain '_'",
		"a__5000/app":                 "must not contain '_'",
		"_5000/app":                   "empty part",
		"ghcr.io/" + repeat("a", 256): "256 characters long",
		"0000_0000_0000_0000_0000_ffff_0a00_0001_5000/app": "must have an IPv6 address",
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePath(in)
			if err == nil {
				t.Fatalf("ParsePath(%q) = %q, want an error", in, got)
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("ParsePath(%q): %q does not say %q", in, err, want)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"nginx":                    "docker.io/library/nginx",
		"ghcr.io/a/b":              "ghcr.io/a/b",
		"reg.example:5000/app":     "reg.example_5000/app",
		"localhost/app":            "localhost/app",
		"localhost:5000/app":       "localhost_5000/app",
		"registry:5000/app":        "registry_5000/app",
		"registry.node-1/app":      "registry.node-1_443/app",
		"registry.node-1:443/app":  "registry.node-1_443/app",
		"registry.node-1:5000/app": "registry.node-1_5000/app",
		"reg.xn--abc-5000/app":     "reg.xn--abc-5000/app",
		"reg.example:443/app":      "reg.example_443/app",
		"org-5000/app":             "docker.io/org-5000/app",
		"localhost-5000/app":       "docker.io/localhost-5000/app",
		"LOCALHOST-5000/app":       "localhost-5000_443/app",
		"[fd00::1]/app":            "fd00_0000_0000_0000_0000_0000_0000_0001/app",
		"[FD00:0:0::1]:5000/app":   "fd00_0000_0000_0000_0000_0000_0000_0001_5000/app",
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			repo, err := ParseRepository(in)
			if err != nil {
				t.Fatal(err)
			}
			if got := repo.Encode(); got != want {
				t.Errorf("Encode() = %q, want %q", got, want)
			}
			if got, err := ParsePath(repo.Encode()); err != nil || got != repo {
				t.Errorf("ParsePath(Encode()) = %q, %v, want %q", got, err, repo)
			}
		})
	}
}

func TestParseMirror(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ns, name string
		want     Repository
	}{
		{"docker.io", "nginx", Repository{"docker.io", "library/nginx"}},
		{"docker.io", "library/nginx", Repository{"docker.io", "library/nginx"}},
		{"registry-1.docker.io", "org/app", Repository{"docker.io", "org/app"}},
		{"ghcr.io", "app", Repository{"ghcr.io", "app"}},
		{"docker.io", "ghcr.io/app", Repository{"docker.io", "ghcr.io/app"}},
		{"GHCR.io:5000", "a/b", Repository{"ghcr.io:5000", "a/b"}},
		{"localhost", "app", Repository{"localhost", "app"}},
		{"registry", "app", Repository{"registry:443", "app"}},
		{"[FD00::1]:5000", "app", Repository{"[fd00::1]:5000", "app"}},
	} {
		if got, err := ParseMirror(test.ns, test.name); err != nil || got != test.want {
			t.Errorf("ParseMirror(%q, %q) = %q, %v, want %q", test.ns, test.name, got, err, test.want)
		}
	}
}

func TestParseMirror_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ ns, name, want string }{
		{"", "app", "empty part"},
		{"https://ghcr.io", "app", "without scheme"},
		{"ghcr.io/org", "app", "without scheme, path"},
		{"user:secret@ghcr.io", "app", "credentials"},
		{"ghcr.io?x=1", "app", "must not contain '?'"},
		{"ghcr.io:", "app", "port"},
		{"gh cr.io", "app", "must not contain ' '"},
		{"reg_5000", "app", "must not contain '_'"},
		{"ghcr.io", "", "repository is missing"},
		{"docker.io", "", "repository is missing"},
		{"ghcr.io", "App", "lower case"},
		{"ghcr.io", "../app", "must begin and end"},
	} {
		if got, err := ParseMirror(test.ns, test.name); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ParseMirror(%q, %q) = %q, %v, want an error that says %q", test.ns, test.name, got, err, test.want)
		}
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for in, want := range map[Repository]string{
		{"docker.io", "library/nginx"}:              "nginx",
		{"docker.io", "library/my.image"}:           "my.image",
		{"docker.io", "org/app"}:                    "org/app",
		{"docker.io", "library/a/b"}:                "library/a/b",
		{"docker.io", "localhost/app"}:              "docker.io/localhost/app",
		{"docker.io", "ghcr.io/app"}:                "docker.io/ghcr.io/app",
		{"docker.io", "library/" + repeat("a", 64)}: "docker.io/library/" + repeat("a", 64),
		{"ghcr.io", "library/nginx"}:                "ghcr.io/library/nginx",
	} {
		if got := in.Short(); got != want {
			t.Errorf("%s: Short() = %q, want %q", in, got, want)
		}
		if back, err := ParseRepository(want); err != nil || back != in {
			t.Errorf("ParseRepository(%q) = %q, %v, want %q", want, back, err, in)
		}
	}
}

func BenchmarkParsePath(b *testing.B) {
	for _, name := range []string{"docker.io/library/nginx", "reg.example_5000/team/app", "nginx"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParsePath(name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
