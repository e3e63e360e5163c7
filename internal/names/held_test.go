package names_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/names"
	"github.com/opencontainers/go-digest"
)

// many are repositories that have another origin.
func many(n int) []names.Repository {
	all := make([]names.Repository, n)
	for i := range all {
		all[i] = names.Repository{
			Name: fmt.Sprintf("registry.example.com/team-%03d/service-%06d", i%500, i), Origins: []string{fmt.Sprintf("registry.corp/hardened/service-%06d", i)},
		}
	}
	return all
}

func TestFit_WhatIsTooMuchIsHeld(t *testing.T) {
	t.Parallel()
	pinned := map[string]digest.Digest{}
	for i := range 60_000 { // no room for it in any document
		pinned[fmt.Sprintf("v%d", i)] = pin
	}
	for name, all := range map[string][]names.Repository{
		"Repositories": many(100_000),
		"Pins":         append([]names.Repository{{Name: "docker.io/library/first", Pins: pinned}}, many(10)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fit, err := names.Document{Repositories: all}.Fit()
			if err != nil {
				t.Fatal(err)
			}
			text, err := fit.Encode()
			if err != nil || len(text) > names.MaxSize {
				t.Fatalf("%d bytes, %v", len(text), err)
			}
			told, err := names.Read(text)
			if err != nil || told.Len() != len(all) {
				t.Fatalf("%d repositories are known, %v; want %d", told.Len(), err, len(all))
			}
			t.Logf("%d bytes tell of %d repositories, and %d are held", len(text), len(fit.Repositories), fit.Held.Len())
			held := 0
			for _, r := range all {
				repo, err := imageref.ParseRepository(r.Name)
				if err != nil {
					t.Fatal(err)
				}
				dgst, err := told.Tag(repo, "latest")
				if refused := errors.As(err, new(*names.HeldError)); !refused && dgst == "" {
					t.Fatalf("%s:latest would be taken from an origin", repo)
				}
				if told.List(repo) != nil {
					held++
				}
			}
			if held != fit.Held.Len() || held == 0 || held == len(all) {
				t.Errorf("%d repositories are held, want %d, and some", held, fit.Held.Len())
			}
			if _, err := told.Tag(hub("nginx"), "1"); err != nil || told.List(hub("nginx")) != nil {
				t.Errorf("one that nobody lists is held: %v", err)
			}
		})
	}
}

func TestFit_LeavesWhatFits(t *testing.T) {
	t.Parallel()
	fit, err := names.Document{Repositories: many(100)}.Fit()
	if err != nil || len(fit.Repositories) != 100 || fit.Held.Len() != 0 {
		t.Errorf("%d repositories and %d held, %v", len(fit.Repositories), fit.Held.Len(), err)
	}
}

func TestFit_MoreThanCanBeHeldIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := (names.Document{Repositories: many(400_000)}).Fit(); err == nil || !strings.Contains(err.Error(), "400000 of at most") {
		t.Errorf("got %v, want how many are too many", err)
	}
}
