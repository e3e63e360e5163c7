package serve

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/upstream"
)

func TestAnnouncement_SaysWhatToTry(t *testing.T) {
	t.Parallel()
	listed := func(hosts ...string) (registries []upstream.Registry) {
		for _, host := range hosts {
			registries = append(registries, upstream.Registry{Host: host})
		}
		return registries
	}
	for name, tt := range map[string]struct {
		registries []upstream.Registry
		want       string
	}{
		"No registry is listed":     {nil, "docker pull localhost:7439/docker.io/library/alpine:latest\n"},
		"Docker Hub is among them":  {listed("a.b", "docker.io"), "docker pull localhost:7439/docker.io/library/alpine:latest\n"},
		"Only others":               {listed("try.example", "a.b"), "docker pull localhost:7439/try.example/IMAGE:TAG\n"},
		"The first one has a port":  {listed("reg.example:5000"), "docker pull localhost:7439/reg.example_5000/IMAGE:TAG\n"},
		"And crane says it as well": {listed("try.example"), "crane pull localhost:7439/try.example/IMAGE:TAG image.tar\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if said := printed(t, announcement{listen: "127.0.0.1:7439", registries: tt.registries}); !strings.Contains(said, tt.want) {
				t.Errorf("it does not say %q:\n%s", tt.want, said)
			}
		})
	}
}

func TestAnnouncement_WarnsOfAnAddressThatOthersReach(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]bool{
		"127.0.0.1:7439": false, "[::1]:7439": false, "[::]:7439": true, "0.0.0.0:7439": true, "10.0.0.5:7439": true,
	} {
		a := announcement{listen: listen}
		if got := strings.Contains(printed(t, a), exposed+"\n"); got != want {
			t.Errorf("at %s it warns: %v, want %v", listen, got, want)
		}
		if got := strings.Contains(logged(a), "everyone who reaches"); got != want {
			t.Errorf("at %s it logs a warning: %v, want %v", listen, got, want)
		}
	}
}

func TestAnnouncement_WarnsOfFiltersWithoutAnInterval(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	for want, defaults := range map[bool]policy.Defaults{true: {Filters: []string{"latest"}}, false: {Filters: []string{"latest"}, Interval: &hour}} {
		a := announcement{listen: "127.0.0.1:7439", warnings: idle(defaults)}
		if got := strings.Contains(printed(t, a), "  no effect: updateFilters"); got != want {
			t.Errorf("%+v: it warns: %v, want %v", defaults, got, want)
		}
		if got := strings.Contains(logged(a), "updateFilters"); got != want {
			t.Errorf("%+v: it logs a warning: %v, want %v", defaults, got, want)
		}
	}
}

func printed(t *testing.T, a announcement) string {
	t.Helper()
	var out strings.Builder
	if err := a.print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func logged(a announcement) string {
	var out strings.Builder
	a.log(funcr.New(func(_, line string) { out.WriteString(line + "\n") }, funcr.Options{}))
	return out.String()
}
