package upstream

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/imageref"
	testorigin "github.com/larder-dev/larder/tests/origin"
)

func TestConfirm_A1_AsksWithThatCredentialAlone(t *testing.T) {
	t.Parallel()
	for scheme, option := range map[string]func(...testorigin.User) testorigin.Option{
		"tokens": testorigin.WithTokens, "basic": testorigin.WithBasic,
	} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			o := testorigin.New(t, option(testorigin.User{Name: "alice", Password: "a"}, testorigin.User{Name: "bob", Password: "b", Pulls: []string{"other"}},
				testorigin.User{Pulls: []string{"public"}}))
			image := o.Push(t, "team/app:v1", testorigin.RandomImage(1, 4<<10))
			o.Push(t, "public:v1", testorigin.RandomImage(1, 4<<10))
			c := newClient(t, at("reg.example", o.URL()))
			alice, bob := authn.AuthConfig{Username: "alice", Password: "a"}, authn.AuthConfig{Username: "bob", Password: "b"}
			wrong := authn.AuthConfig{Username: "alice", Password: "guessed"}
			confirm := func(credential authn.AuthConfig, path string, p Probe) error {
				return c.Confirm(t.Context(), imageref.Repository{Host: "reg.example", Path: path}, credential, p)
			}
			for name, p := range map[string]Probe{
				"A tag": {Reference: "v1"}, "A digest": {Reference: image.Digest.String()}, "A blob": {Blob: image.Blobs[0].Digest},
				"A tag that is not there": {Reference: "v9"}, "A blob that is not there": {Blob: digest.FromString("none")}, "Anything": {},
			} {
				if err := confirm(alice, "team/app", p); err != nil {
					t.Errorf("%s, with the right: %v", name, err)
				}
				for who, credential := range map[string]authn.AuthConfig{"another's": bob, "a wrong one": wrong, "none": {}, "what no header takes": {Username: "a", Password: "b", RegistryToken: "\n"}} {
					if err := confirm(credential, "team/app", p); reason(err) != Denied {
						t.Errorf("%s, with %s: %v, want it denied", name, who, err)
					}
				}
			}
			if err := confirm(authn.AuthConfig{}, "public", Probe{Reference: "v1"}); err != nil {
				t.Errorf("a public image: %v", err)
			}
			if err := confirm(alice, "team/none", Probe{Reference: "v1"}); reason(err) != NotFound {
				t.Errorf("a repository that does not exist: %v, want not found", err)
			}
			o.Refuse()
			if err := confirm(alice, "team/app", Probe{Reference: "v1"}); reason(err) != Unreachable {
				t.Errorf("in an outage: %v, want it unreachable", err)
			}
		})
	}
}

// TestConfirm_AListOfTagsIsNoProof: who may list may not pull for that.
func TestConfirm_AListOfTagsIsNoProof(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tags string
		want Reason
	}{
		"Lists tags and hides manifests": {`{"tags":["v1"]}`, NotFound},
		"Lists no tags":                  {`{"tags":[]}`, NotFound},
		"Lists null":                     {`{"tags":null}`, NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/tags/list") {
					_, _ = w.Write([]byte(tt.tags))
					return
				}
				w.WriteHeader(http.StatusNotFound)
			})
			c := newClient(t, at("reg.example", s.URL))
			if err := c.Confirm(t.Context(), app("reg.example"), authn.AuthConfig{}, Probe{Reference: "v1"}); reason(err) != tt.want {
				t.Errorf("Confirm = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestClient_ProvenIsWhatTheOriginItselfAccepted(t *testing.T) {
	t.Parallel()
	o := testorigin.New(t, testorigin.WithTokens(testorigin.User{Name: "alice", Password: "a"}))
	open := testorigin.New(t) // a mirror that gives everything to everybody
	image := testorigin.RandomImage(1, 4<<10)
	pushed := o.Push(t, "team/app:v1", image)
	open.Push(t, "team/app:v1", image)
	var mu sync.Mutex
	var proofs []Proof
	purse := &purse{configs: []authn.AuthConfig{{Username: "alice", Password: "a"}}}
	c := newClientWith(t, Options{
		Registries: []Registry{at("mirrored.example", open.URL(), o.URL()), at("reg.example", o.URL())}, Credentials: purse,
		Proven: func(_ imageref.Repository, p Proof) {
			mu.Lock()
			defer mu.Unlock()
			proofs = append(proofs, p)
		},
	})
	if _, err := c.Manifest(t.Context(), app("mirrored.example"), "v1"); err != nil {
		t.Fatal(err)
	}
	if len(proofs) > 0 {
		t.Errorf("a mirror's word counts: %v", proofs)
	}
	if _, err := c.Tags(t.Context(), app("reg.example")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Referrers(t.Context(), app("reg.example"), pushed.Digest); err != nil {
		t.Fatal(err)
	}
	if len(proofs) > 0 {
		t.Errorf("lists count: %v", proofs)
	}
	if _, err := c.Manifest(t.Context(), app("reg.example"), "v1"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(proofs, []Proof{{Credential: purse.configs[0]}}) {
		t.Errorf("proven is %v, want alice", proofs)
	}
}
