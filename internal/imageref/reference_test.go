package imageref

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"
)

const (
	sha256Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sha512Digest = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce" +
		"47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	t.Parallel()
	hub := func(path string) Repository { return Repository{Host: "docker.io", Path: path} }
	for name, test := range map[string]struct {
		in   string
		want Reference
	}{
		"A short name":                     {"nginx", Reference{Repository: hub("library/nginx"), Tag: "latest"}},
		"A short name with a tag":          {"postgres:15", Reference{Repository: hub("library/postgres"), Tag: "15"}},
		"A short name with a dot":          {"my.image:1", Reference{Repository: hub("library/my.image"), Tag: "1"}},
		"An organisation":                  {"org/app", Reference{Repository: hub("org/app"), Tag: "latest"}},
		"An organisation that ends in _80": {"org_80/app", Reference{Repository: hub("org_80/app"), Tag: "latest"}},
		"Docker Hub's host":                {"docker.io/nginx", Reference{Repository: hub("library/nginx"), Tag: "latest"}},
		"Docker Hub's old host":            {"index.docker.io/nginx:1", Reference{Repository: hub("library/nginx"), Tag: "1"}},
		"Docker Hub's registry":            {"registry-1.docker.io/org/app", Reference{Repository: hub("org/app"), Tag: "latest"}},
		"A digest alone":                   {"nginx@" + sha256Digest, Reference{Repository: hub("library/nginx"), Digest: sha256Digest}},
		"A tag and a digest": {"nginx:1.27@" + sha512Digest,
			Reference{Repository: hub("library/nginx"), Tag: "1.27", Digest: sha512Digest}},
		"A host": {"ghcr.io/a/b/c:x",
			Reference{Repository: Repository{Host: "ghcr.io", Path: "a/b/c"}, Tag: "x"}},
		"A host with a port and no tag": {"reg.example:5000/app",
			Reference{Repository: Repository{Host: "reg.example:5000", Path: "app"}, Tag: "latest"}},
		"A host in upper case": {"GHCR.io/app:V1",
			Reference{Repository: Repository{Host: "ghcr.io", Path: "app"}, Tag: "V1"}},
		"A host of one label with a port": {"registry:5000/app",
			Reference{Repository: Repository{Host: "registry:5000", Path: "app"}, Tag: "latest"}},
		"A host of one label in upper case": {"REGISTRY/app",
			Reference{Repository: Repository{Host: "registry:443", Path: "app"}, Tag: "latest"}},
		"Localhost": {"localhost/app",
			Reference{Repository: Repository{Host: "localhost", Path: "app"}, Tag: "latest"}},
		"An IPv6 host": {"[FD00:0::0:1]:5000/app:1",
			Reference{Repository: Repository{Host: "[fd00::1]:5000", Path: "app"}, Tag: "1"}},
		"A host with a dashed number": {"registry.node-1/app",
			Reference{Repository: Repository{Host: "registry.node-1", Path: "app"}, Tag: "latest"}},
		"Every separator": {"a/b.c_d__e--f---g",
			Reference{Repository: hub("a/b.c_d__e--f---g"), Tag: "latest"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", test.in, diff)
			}
		})
	}
}

func TestParse_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                "repository is missing",
		"docker://nginx:1":                "leave out docker://",
		"reg.example_5000/x":              "a port is written reg.example:5000 here",
		"reg.ex_ample/x":                  "must not contain '_'",
		":1":                              "repository is missing",
		"ghcr.io/":                        "repository is missing",
		"/app":                            "component is empty",
		"ghcr.io/a//b":                    "component is empty",
		"ghcr.io/a/":                      "component is empty",
		"ghcr.io/../b":                    "must begin and end",
		"Nginx":                           `"Nginx" must be in lower case`,
		"org/App":                         `"App" must be in lower case`,
		"org/ap p":                        `must not contain ' '`,
		"org/äpp":                         `must not contain 'ä'`,
		"org/a._b":                        `must not contain "._"`,
		"org/a___b":                       `must not contain "___"`,
		"org/-a":                          "must begin and end",
		"a:b:c":                           `must not contain ':'`,
		"nginx:":                          `tag ""`,
		"nginx:.1":                        `tag ".1"`,
		"nginx:" + repeat("a", 129):       "must be 1 to 128",
		"nginx@sha256:abc":                "64, or sha512",
		"nginx@md5:" + repeat("0", 32):    "64, or sha512",
		"nginx@":                          `digest ""`,
		"nginx@SHA256:" + repeat("0", 64): "64, or sha512",
		"nginx@sha256:" + repeat("A", 64): "lower case",
		repeat("a", 64):                   "image ID",
		repeat("a", 256):                  "are allowed",
		repeat("a", 300) + ".example/app": "are allowed",
		"a." + repeat("b", 64) + "/app":   "are allowed",
		"reg.example:0/app":               `port "0"`,
		"reg.example:05/app":              `port "05"`,
		"reg.example:65536/app":           `port "65536"`,
		"reg.example:/app":                `port ""`,
		"reg_1.example/app":               `must not contain '_'`,
		"reg..example/app":                "empty part",
		"-reg.example/app":                "'-' at an end",
		"[fd00::1/app":                    "closing bracket",
		"[fd00::zz]/app":                  "must have an IPv6 address",
		"[fe80::1%eth0]:5000/app":         "must have an IPv6 address",
		"[::ffff:10.0.0.1]/app":           "must have an IPv6 address",
		"[::1]5000/app":                   `port "5000"`,
		"https://ghcr.io/app":             "leave out https://",
		"user:secret@ghcr.io/app":         "digest",
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(in)
			if err == nil {
				t.Fatalf("Parse(%q) = %q, want an error", in, got)
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("Parse(%q): %q does not say %q", in, err, want)
			}
		})
	}
}

func TestParseDigest_CanBeVerified(t *testing.T) {
	t.Parallel()
	for _, s := range []string{sha256Digest, sha512Digest} {
		d, err := ParseDigest(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Algorithm().FromBytes(nil); got != d {
			t.Errorf("the digest of nothing is %s, want %s", got, d)
		}
	}
}

func TestParseDigest_AgreesWithGoDigest(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		sha256Digest, sha512Digest, "", "sha256", "sha256:", ":abc", "sha256:" + repeat("0", 63), "sha256:" + repeat("0", 65),
		"sha256:" + repeat("G", 64), "sha256:" + repeat("A", 64), "sha512:" + repeat("0", 64), "sha1:" + repeat("0", 40),
	} {
		_, err := ParseDigest(s)
		if want := digest.Digest(s).Validate(); (err == nil) != (want == nil) {
			t.Errorf("ParseDigest(%q) = %v, go-digest says %v", s, err, want)
		}
	}
}

func TestValidTag(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]bool{
		"latest": true, "1.27": true, "_x": true, "V1-rc.1": true, repeat("a", 128): true,
		"": false, ".1": false, "-1": false, "a/b": false, "a:b": false, "ä": false, repeat("a", 129): false,
	} {
		if got := ValidTag(tag); got != want {
			t.Errorf("ValidTag(%q) = %t, want %t", tag, got, want)
		}
	}
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }
