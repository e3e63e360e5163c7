package imageref

import (
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"nginx", "nginx:1.27@" + sha256Digest, "docker.io/nginx", "localhost/app", "LOCALHOST-5000/app", "reg.node-1/app:x",
		"reg.node-1:443/app", "[fd00::1]:5000/a", "registry:5000/a/b", "Org/app", "a:b/c", "a@b", "reg.example:05/app", "org_80/app",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := Parse(s)
		if err != nil {
			if isGrammatical(s) {
				t.Errorf("Parse(%q): %v; distribution/reference accepts it", s, err)
			}
			return
		}
		if again, err := Parse(ref.String()); err != nil || again != ref {
			t.Errorf("Parse(%q) = %q; parsed again: %q, %v", s, ref, again, err)
		}
		agreesWithDistribution(t, s, ref)
		roundTrips(t, ref.Repository)
	})
}

// isGrammatical says whether distribution's grammar has s, leaving out what this package refuses on purpose.
func isGrammatical(s string) bool {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return false
	}
	if d, ok := named.(reference.Digested); ok {
		if _, err := ParseDigest(d.Digest().String()); err != nil {
			return false
		}
	}
	_, err = ParseHost(reference.Domain(named))
	return err == nil
}

// agreesWithDistribution checks that what was accepted means the same to distribution/reference, which knows fewer names of
// Docker Hub.
func agreesWithDistribution(t *testing.T, s string, ref Reference) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		t.Fatalf("Parse(%q) = %q; distribution/reference: %v", s, ref, err)
	}
	host, err := ParseHost(reference.Domain(named))
	if err != nil || host != ref.Repository.Host {
		t.Errorf("Parse(%q) has host %q; distribution/reference %q, %v", s, ref.Repository.Host, host, err)
	}
	path := reference.Path(named)
	if path != strings.TrimPrefix(ref.Repository.Path, hubNamespace) && path != ref.Repository.Path {
		t.Errorf("Parse(%q) has path %q; distribution/reference %q", s, ref.Repository.Path, path)
	}
	if tagged, ok := named.(reference.Tagged); ok && tagged.Tag() != ref.Tag {
		t.Errorf("Parse(%q) has tag %q; distribution/reference %q", s, ref.Tag, tagged.Tag())
	}
	if digested, ok := named.(reference.Digested); ok && digested.Digest() != ref.Digest {
		t.Errorf("Parse(%q) has digest %q; distribution/reference %q", s, ref.Digest, digested.Digest())
	}
}

// roundTrips checks that every written form of a repository is read back as that repository, and that its path form is a name
// by the distribution spec whose components fit into file names.
func roundTrips(t *testing.T, repo Repository) {
	for form, parse := range map[string]func(string) (Repository, error){
		repo.String(): ParseRepository,
		repo.Encode(): ParsePath,
	} {
		if back, err := parse(form); err != nil || back != repo {
			t.Errorf("%q reads as %q, %v, want %q", form, back, err, repo)
		}
	}
	if back, err := ParseRepository(repo.Short()); err != nil || back != repo {
		t.Errorf("the short form %q reads as %q, %v, want %q", repo.Short(), back, err, repo)
	}
	if back, err := ParseMirror(repo.Host, repo.Path); err != nil || back != repo {
		t.Errorf("the mirror form reads as %q, %v, want %q", back, err, repo)
	}
	for component := range strings.SplitSeq(repo.Encode(), "/") {
		if err := checkComponent(component); err != nil || len(component) > 255 {
			t.Errorf("path form %q: component %q: %v", repo.Encode(), component, err)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{
		"nginx", "docker.io/nginx", "reg.example_5000/app", "reg.example-5000/app", "reg.node-1_443/a", "localhost_443/a",
		"localhost-5000_443/a", "fd00_0000_0000_0000_0000_0000_0000_0001_5000/app", "reg.xn--abc-5000/a", "../a", "GHCR.io/a", "_80/a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		repo, err := ParsePath(s)
		if err != nil {
			return
		}
		if slices.Contains(strings.Split(repo.Encode(), "/"), "..") {
			t.Errorf("ParsePath(%q) lets '..' through", s)
		}
		roundTrips(t, repo)
	})
}

func FuzzParseMirror(f *testing.F) {
	for _, s := range [][2]string{
		{"docker.io", "nginx"}, {"reg.example:5000", "a/b"}, {"registry", "a"}, {"[fd00::1]", "a"}, {"reg.node-1:443", "a"},
		{"https://ghcr.io", "a"}, {"a@b", "c"}, {"docker.io", "localhost/app"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, ns, name string) {
		repo, err := ParseMirror(ns, name)
		if err != nil {
			return
		}
		roundTrips(t, repo)
	})
}
