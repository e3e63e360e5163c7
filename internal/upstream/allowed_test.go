package upstream

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/larder-dev/larder/internal/imageref"
	testorigin "github.com/larder-dev/larder/tests/origin"
)

func allowed(t *testing.T, entries ...string) []Allowed {
	t.Helper()
	var all []Allowed
	for _, entry := range entries {
		a, err := ParseAllowed(entry)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func TestAllowed_HostsAndWholePaths(t *testing.T) {
	t.Parallel()
	list := allowed(t, "Docker.io", "ghcr.io/org", "reg.example:5000/team/app")
	for name, want := range map[string]bool{
		"nginx": true, "docker.io/bitnami/redis": true, "docker.io.evil.example/library/nginx": false, "evil.example/docker.io/nginx": false,
		"ghcr.io/org/app": true, "ghcr.io/org/app/part": true, "ghcr.io/organ/app": false, "ghcr.io/other/org": false,
		"reg.example:5000/team/app": true, "reg.example:5000/team/app2": false, "reg.example/team/app": false, "reg.example:5001/team/app": false,
	} {
		repo, err := imageref.ParseRepository(name)
		if err != nil {
			t.Fatal(err)
		}
		got := false
		for _, a := range list {
			got = got || a.has(repo)
		}
		if got != want {
			t.Errorf("%s: allowed is %v, want %v", name, got, want)
		}
	}
}

func TestAllowed_RefusesWhatNamesNoRegistry(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "https://docker.io", "*.example.com", "ghcr.io/", "ghcr.io/Org", "ghcr.io/org/", "ghcr.io//org", "ghcr.io/../org", "ghcr.io/org:1",
	} {
		if a, err := ParseAllowed(text); err == nil {
			t.Errorf("%q was taken for %+v", text, a)
		}
	}
}

// TestTrust_WhatIsNotAllowedIsNotAsked: whatever is asked for, and whoever leads there.
func TestTrust_WhatIsNotAllowedIsNotAsked(t *testing.T) {
	t.Parallel()
	o := testorigin.New(t)
	image := o.Push(t, "team/app:v1", testorigin.RandomImage(1, 4<<10))
	repo := imageref.Repository{Host: "reg.example", Path: "team/app"}
	other := imageref.Repository{Host: "docker.io", Path: "library/app"}
	client := func(entries ...string) *Client {
		return newClientWith(t, Options{
			Registries: []Registry{{Host: "reg.example", Endpoints: []string{o.URL()}}}, Allowed: allowed(t, entries...),
			Sources: func(asked imageref.Repository) []imageref.Repository {
				if asked == other {
					return []imageref.Repository{repo}
				}
				return nil
			},
		})
	}
	shut := client("docker.io", "reg.example/team/application")
	for _, asked := range []imageref.Repository{repo, other} {
		_, err := shut.Manifest(t.Context(), asked, "v1")
		if e := wantError(t, err, Refused); !strings.Contains(e.Error(), "allowedOrigins has no entry for reg.example/team/app") {
			t.Errorf("it says %v", e)
		}
		_, _, err = shut.ResolveManifest(t.Context(), asked, "v1")
		_ = wantError(t, err, Refused)
		_, err = shut.ResolveBlob(t.Context(), asked, image.Blobs[0].Digest)
		_ = wantError(t, err, Refused)
		_, err = shut.Blob(t.Context(), asked, image.Blobs[0].Digest, 0, -1)
		_ = wantError(t, err, Refused)
		_, err = shut.Tags(t.Context(), asked)
		_ = wantError(t, err, Refused)
		_, err = shut.Referrers(t.Context(), asked, image.Digest)
		_ = wantError(t, err, Refused)
	}
	_ = wantError(t, shut.Confirm(t.Context(), repo, authn.AuthConfig{}, Probe{Reference: "v1"}), Refused)
	if n := o.Count(testorigin.Everything()); n != 0 {
		t.Errorf("the origin was asked %d times", n)
	}
	for _, asked := range []imageref.Repository{repo, other} {
		if _, err := client("reg.example/team").Manifest(t.Context(), asked, "v1"); err != nil {
			t.Errorf("allowed as the origin of %s: %v", asked, err)
		}
	}
}
