package grant

import (
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
)

// hardened is another origin of the images of a world's repository.
var hardened = imageref.Repository{Host: "registry.corp", Path: "hardened/app"}

func TestGrant_A1_AnotherOriginsYesHoldsWhileItIsAsked(t *testing.T) {
	t.Parallel()
	for name, granted := range map[string]func(*world){
		"Confirmed": func(w *world) { w.want("one", "") },
		"Proven":    func(w *world) { w.Proven(hardened, upstream.Proof{Credential: alice}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.run("one", "a", "pod", "pull")
			w.set(func() { w.from = []imageref.Repository{hardened} })
			granted(w)
			w.restart() // what is granted is in the store then
			w.down()
			w.want("one", "")
			w.set(func() { w.from = nil })
			w.want("one", Unavailable)
		})
	}
}

func TestGrant_A1_WhatWasPublicIsNotSoFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.allow(authn.AuthConfig{})
	w.want("", "")
	w.set(func() { w.from = []imageref.Repository{hardened} })
	w.allow()
	w.restart()
	w.want("", NoNode)
}

func TestGrant_A1_ACredentialForAnotherRepositoryGrantsNothingHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("one", "a", "pod", "pull")
	w.Proven(hardened, upstream.Proof{Credential: alice}) // which is not asked for the repository
	w.restart()
	w.down()
	w.want("one", Unavailable)
}

func TestGrant_A1_AFallbackHasNoSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fallback := imageref.Repository{Host: "public.example", Path: "app"}
	w.set(func() { w.from = []imageref.Repository{hardened, fallback} })
	w.allow()
	w.Proven(fallback, upstream.Proof{}) // which everybody may pull from
	w.want("", NoNode)
	w.restart()
	w.want("", NoNode)
	if slices.Contains(w.places, fallback) {
		t.Errorf("asked were %v", w.places)
	}
}
