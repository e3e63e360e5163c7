package imageref

import (
	"regexp"
	"testing"
)

var (
	subdomain  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`)
)

// isObjectName says whether s names an object of Kubernetes, and can be the value of a label.
func isObjectName(s string) bool {
	return len(s) <= 63 && subdomain.MatchString(s) && labelValue.MatchString(s)
}

func TestObjectName_IsReadable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"postgres:15":            "docker.io-library-postgres-15-",
		"reg.example:5000/a/b:1": "reg.example-5000-a-b-1-",
		"[fd00::1]:5000/a":       "fd00-1-5000-a-latest-",
		"a/b.c_d__e--f:_x":       "docker.io-a-b.c-d-e-f-x-",
		"ghcr.io/an-organisation/with-a-long-name/and-an-image:x": "ghcr.io-an-organisation-with-a-long-name-and-an-im-",
	} {
		ref, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := ref.ObjectName(0); len(got) != len(want)+hashLength || got[:len(want)] != want || !isObjectName(got) {
			t.Errorf("ObjectName of %s = %q, want %q and a hash", in, got, want)
		}
	}
}

// Objects outlive processes: a name that another version of Larder would give otherwise is a second object of the same image.
func TestObjectName_NeverChanges(t *testing.T) {
	t.Parallel()
	ref, err := Parse("postgres:15")
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		ref.ObjectName(0):            "docker.io-library-postgres-15-67uioio5fcw5",
		ref.ObjectName(1):            "docker.io-library-postgres-15-xtzxtua3t4eh",
		ref.Repository.ObjectName(0): "docker.io-library-postgres-abaurpc77emp",
	} {
		if got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
}

func TestObjectName_NeverCollides(t *testing.T) {
	t.Parallel()
	long := "reg.example/" + repeat("a/", 100)
	seen := map[string]string{}
	for _, in := range []string{
		"a/b-c:1", "a-b/c:1", "a/b/c:1", "a.b/c:1", "a/b_c:1", "a/b__c:1", "a/b--c:1", // separators
		"app:V1", "app:v1", "app:v.1", "app:v-1", "app:v_1", "app:v1-", "app:v1.", "app:_v1", // tags
		"app:1@" + sha256Digest, "app@" + sha256Digest, "app@" + sha512Digest, "app:2@" + sha256Digest, // digests
		"reg.example:5000/app", "reg.example/5000/app", "reg.example-5000/app", "reg.example:5001/app", // ports
		"[fd00::1]/app", "[fd00::1]:5000/app", "[fd00:1::]/app", "[fd00::1:5000]/app", // IPv6
		"app", "docker.io/app/app", "localhost/app", "localhost:5000/app",
		long + "a:1", long + "b:1", long + "b:2", // beyond what a name has room for
	} {
		ref, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		for attempt := range 8 {
			name := ref.ObjectName(attempt)
			if other, taken := seen[name]; taken {
				t.Errorf("%s and %s share the name %q", in, other, name)
			}
			if seen[name] = in; !isObjectName(name) {
				t.Errorf("%s: %q is not a name", in, name)
			}
		}
	}
}

func FuzzObjectName(f *testing.F) {
	for _, s := range [][2]string{
		{"a/b-c", "a-b/c"}, {"app:V1", "app:v1"}, {"app@" + sha256Digest, "app:1@" + sha256Digest}, {"[fd00::1]:5000/a", "reg.example:5000/a"},
		{"docker.io/nginx", "nginx:latest"}, {"reg.node-1/a", "reg.node:1/a"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		a, err := Parse(first)
		if err != nil {
			return
		}
		b, err := Parse(second)
		if err != nil {
			b = a
		}
		for attempt := range 2 {
			if name := a.ObjectName(attempt); !isObjectName(name) || (name == b.ObjectName(attempt)) != (a == b) {
				t.Errorf("%q has the name %q, %q has %q", a, name, b, b.ObjectName(attempt))
			}
			if name := a.Repository.ObjectName(attempt); !isObjectName(name) || (name == b.Repository.ObjectName(attempt)) != (a.Repository == b.Repository) {
				t.Errorf("%q has the name %q, %q has %q", a.Repository, name, b.Repository, b.Repository.ObjectName(attempt))
			}
		}
		if a.ObjectName(0) == a.ObjectName(1) {
			t.Errorf("%q has one name for two attempts: %q", a, a.ObjectName(0))
		}
	})
}
