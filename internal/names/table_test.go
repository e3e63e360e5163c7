package names_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/names"
	"github.com/opencontainers/go-digest"
)

const pin = digest.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

func table(t *testing.T, repositories ...names.Repository) *names.Table {
	t.Helper()
	text, err := names.Document{Repositories: repositories}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := names.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func hub(name string) imageref.Repository {
	return imageref.Repository{Host: "docker.io", Path: "library/" + name}
}

func TestTable_Tag(t *testing.T) {
	t.Parallel()
	known := table(t,
		names.Repository{Name: "docker.io/library/nginx", Origins: []string{"registry.corp/nginx"}, Pins: map[string]digest.Digest{"1": pin}},
		names.Repository{Name: "docker.io/library/redis", ImmutableTags: []string{`^redis:v\d`, `docker.io/library/redis:lts$`}},
		names.Repository{Name: "docker.io/library/odd", ImmutableTags: []string{`(`}})
	for name, tt := range map[string]struct {
		repo, tag string
		want      digest.Digest
		held      string
	}{
		"A repository that is not listed":            {"postgres", "15", "", ""},
		"A pinned tag is its digest":                 {"nginx", "1", pin, ""},
		"Another tag of what comes from elsewhere":   {"nginx", "2", "", "registry.corp"},
		"An immutable tag by the short name":         {"redis", "v7", "", "immutable"},
		"An immutable tag by the full name":          {"redis", "lts", "", "immutable"},
		"A tag that no expression matches":           {"redis", "latest", "", ""},
		"Rather none than a wrong one of an unknown": {"odd", "1", "", "immutable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := known.Tag(hub(tt.repo), tt.tag)
			var held *names.HeldError
			switch {
			case got != tt.want:
				t.Errorf("got %q, want %q", got, tt.want)
			case tt.held == "" && err != nil:
				t.Error(err)
			case tt.held != "" && (!errors.As(err, &held) || !strings.Contains(err.Error(), tt.held)):
				t.Errorf("got %v, want a refusal that says %q", err, tt.held)
			}
		})
	}
}

func TestTable_NilForbidsNothing(t *testing.T) {
	t.Parallel()
	var unknown *names.Table
	if dgst, err := unknown.Tag(hub("nginx"), "1"); dgst != "" || err != nil || unknown.Origins(hub("nginx")) != nil ||
		unknown.List(hub("nginx")) != nil || unknown.Len() != 0 {
		t.Errorf("got %q, %v", dgst, err)
	}
}

func TestTable_IsSafeForManyAtOnce(t *testing.T) {
	t.Parallel()
	known := table(t, names.Repository{Name: "redis", ImmutableTags: []string{":7"}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := known.Tag(hub("redis"), "7"); err == nil {
				t.Error("the tag is not held")
			}
		})
	}
	wg.Wait()
}

func TestRead_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `<html>`, `{"repositories":[{"name":"UPPER/"}]}`, `{"repositories":[{"name":"a","origins":["a b"]}]}`,
		`{"repositories":[{"name":"a","pins":{"1":"latest"}}]}`, `{"repositories":[],"held":"AAAA"}`,
	} {
		if _, err := names.Read([]byte(text)); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}
