package hooks

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-dev/larder/internal/imageref"
)

func example(t testing.TB, source string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", source+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func headerOf(source string) http.Header {
	if source == "github" {
		return http.Header{"X-Github-Event": {"registry_package"}}
	}
	return http.Header{}
}

func texts(refs []imageref.Reference) (texts []string) {
	for _, ref := range refs {
		texts = append(texts, ref.String())
	}
	return texts
}

func TestParsers_RegistriesOwnExamples(t *testing.T) {
	t.Parallel()
	for source, want := range map[string][]string{
		"distribution": {"registry.example:5000/team/app:latest"},
		"dockerhub":    {"docker.io/example/app:latest"},
		"github":       {"ghcr.io/octo-org/hello:latest"},
		"harbor":       {"harbor.example/library/alpine:v1"},
		"quay":         {"quay.io/example/app:latest", "quay.io/example/app:1.0"},
	} {
		got, err := parsers[source](headerOf(source), example(t, source), "")
		if diff := cmp.Diff(want, texts(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", source, err, diff)
		}
		for i := range want {
			_, path, _ := strings.Cut(want[i], "/")
			want[i] = "reg.test/" + path
		}
		if got, err := parsers[source](headerOf(source), example(t, source), "reg.test"); err != nil || cmp.Diff(want, texts(got)) != "" {
			t.Errorf("%s under another host: %v, %v; want %v", source, texts(got), err, want)
		}
	}
}

func TestParsers_WhatIsNoPushOfATagIsIgnored(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ source, body, event string }{
		"A pull":                     {"distribution", `{"events":[{"action":"pull","target":{"repository":"a","tag":"b"},"request":{"host":"c.example"}}]}`, ""},
		"A push of a digest":         {"distribution", `{"events":[{"action":"push","target":{"repository":"a"},"request":{"host":"c.example"}}]}`, ""},
		"GitHub's first call":        {"github", `{"zen":"Keep it logically awesome."}`, "ping"},
		"Another event of GitHub":    {"github", string(example(t, "github")), "push"},
		"A package that is no image": {"github", `{"action":"published","package":{"name":"a","namespace":"b","package_type":"npm"}}`, "package"},
		"A deletion at Harbor":       {"harbor", `{"type":"DELETE_ARTIFACT","event_data":{"resources":[{"tag":"v1","resource_url":"h/a:v1"}]}}`, ""},
		"No tag at Quay":             {"quay", `{"docker_url":"quay.io/a/b","updated_tags":[]}`, ""},
	} {
		got, err := parsers[test.source](http.Header{"X-Github-Event": {test.event}}, []byte(test.body), "")
		if err != nil || len(got) > 0 {
			t.Errorf("%s: got %v, %v; want nothing", name, got, err)
		}
	}
}

func TestParsers_WhatIsNoNotificationIsRefused(t *testing.T) {
	t.Parallel()
	for source, bodies := range map[string][]string{
		"distribution": {"", "[]", `{"events":[{"action":"push","target":{"repository":"../x","tag":"b"},"request":{"host":"c.example"}}]}`},
		"dockerhub":    {"null1", `{"push_data":{"tag":"a b"},"repository":{"repo_name":"x/y"}}`},
		"github":       {"{", `"x"`},
		"harbor":       {"{", `{"type":1}`},
		"quay":         {"{", `{"docker_url":"","updated_tags":["latest"]}`},
	} {
		for _, body := range bodies {
			if got, err := parsers[source](headerOf(source), []byte(body), ""); !errors.Is(err, errPayload) {
				t.Errorf("%s: %s: got %v, %v; want that it is refused", source, body, got, err)
			}
		}
	}
}

// What comes from outside never makes another thing than valid references, and few of them.
func FuzzParsers(f *testing.F) {
	for _, source := range Sources() {
		f.Add(source, example(f, source), "")
		f.Add(source, example(f, source), "reg.test:5000")
	}
	f.Add("quay", []byte(`{"docker_url":"quay.io/a/b","updated_tags":["`+strings.Repeat(`x","`, 200)+`"]}`), "")
	f.Fuzz(func(t *testing.T, source string, body []byte, as string) {
		parse := parsers[source]
		if parse == nil {
			return
		}
		refs, err := parse(headerOf(source), body, as)
		if err != nil && len(refs) > 0 || len(refs) > most {
			t.Fatalf("%d references and %v", len(refs), err)
		}
		for _, ref := range refs {
			if again, err := imageref.Parse(ref.String()); err != nil || again != ref || ref.Tag == "" || ref.Digest != "" {
				t.Fatalf("%s is read as %s (%v)", ref, again, err)
			}
		}
	})
}
