package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/tests/origin"
)

// handful are credentials that a test replaces; their stamp is the user's name.
type handful struct {
	atomic.Pointer[authn.AuthConfig]
}

func (h *handful) Find(context.Context, imageref.Repository) ([]authn.AuthConfig, error) {
	return []authn.AuthConfig{*h.Load()}, nil
}

func (h *handful) Stamp(imageref.Repository) string { return h.Load().Username }

func TestTag_T9_ADenialHoldsForItsSetOfCredentials(t *testing.T) {
	t.Parallel()
	f := newFixture(t, origin.WithTokens(origin.User{Name: "right", Password: "good"}))
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	credentials := &handful{}
	credentials.Store(&authn.AuthConfig{Username: "wrong", Password: "good"})
	client, err := upstream.New(upstream.Options{
		Registries: []upstream.Registry{{Host: host, Endpoints: []string{f.origin.URL()}}}, Credentials: credentials,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.stop()
	f.options.Origin = client
	f.Cache = New(f.options)
	f.stop = func() { f.Cache.Close(); client.Close() }
	for range 2 {
		if _, _, err := f.ResolveManifest(t.Context(), repository("app"), "1"); !errors.As(err, new(*Error)) {
			t.Fatalf("got %v, want it denied", err)
		}
	}
	if n := f.origin.Count(origin.Tokens()); n != 2 { // one with the credential, one anonymously
		t.Errorf("%d requests for tokens, want the denial to be remembered", n)
	}
	credentials.Store(&authn.AuthConfig{Username: "right", Password: "good"})
	f.resolve(t, "app", "1")
}
