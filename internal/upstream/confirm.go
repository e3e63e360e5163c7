package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/imageref"
)

// Proof says that an origin let somebody pull.
type Proof struct {
	Credential authn.AuthConfig // the zero one: nobody in particular
	Files      bool             // the credential is of a registry's credentials file: the operator's
}

// Probe is what a credential is tried on; the zero one: whatever the repository has.
type Probe struct {
	Reference string        // of a manifest: a tag or a digest
	Blob      digest.Digest // a blob
}

// Confirm asks the origin itself, and none of its mirrors, whether a credential (the zero one: anybody) may pull from repo: nil is yes.
// What proves it is the head of a manifest or a blob: a token, or a list of tags, is given to some who may not pull. Where the origin has
// not what probe names, it is asked for its tags, and for the manifest of one of them; an Error with NotFound says that it showed none.
func (c *Client) Confirm(ctx context.Context, repo imageref.Repository, credential authn.AuthConfig, probe Probe) error {
	o, err := c.reach(repo)
	if err != nil {
		return err
	}
	a := &attempt{
		client: c, origin: o, endpoint: o.endpoints[len(o.endpoints)-1], repo: repo, credential: newCredential(credential, c.secret),
	}
	if !sendable(credential) {
		return a.explain(fault(Denied, "the credential fits into no request"))
	}
	if err = a.confirm(ctx, probe); err == nil {
		a.note(ctx, nil)
		return nil
	}
	e := a.explain(err)
	a.note(ctx, e)
	if e.ofToken || badRequest(e) && !a.credential.anonymous() {
		e.Reason = Denied // as try judges it
	}
	return e
}

// Files returns the credentials for repo of the registry's own file.
func (c *Client) Files(ctx context.Context, repo imageref.Repository) []authn.AuthConfig {
	o, err := c.origin(repo.Host)
	if err != nil {
		return nil
	}
	var configs []authn.AuthConfig
	for _, k := range o.keychains {
		if !k.mirrors {
			continue
		}
		for _, found := range k.begin(repo, credentialTTL)(ctx).credentials {
			configs = append(configs, found.config)
		}
	}
	return configs
}

func (a *attempt) confirm(ctx context.Context, probe Probe) error {
	err := a.headAny(ctx, probe)
	if err == nil || reason(err) != NotFound && !errors.Is(err, errNoHead) {
		return err
	}
	tag, listErr := a.anyTag(ctx)
	if listErr == nil {
		return a.headAny(ctx, Probe{Reference: tag})
	}
	if reason(err) == NotFound && reason(listErr) == Denied {
		return err // to list tags may be another right
	}
	return listErr
}

// headAny asks for the head of what a probe names. Where that cannot be told by HEAD, a manifest is got.
func (a *attempt) headAny(ctx context.Context, probe Probe) error {
	switch {
	case probe.Blob != "":
		_, err := a.headBlob(ctx, probe.Blob)
		return err
	case probe.Reference != "":
		_, err := a.headManifest(ctx, probe.Reference)
		if errors.Is(err, errNoHead) {
			_, err = a.getManifest(ctx, probe.Reference)
		}
		return err
	}
	return errNoHead
}

// anyTag returns one of the repository's tags.
func (a *attempt) anyTag(ctx context.Context) (string, error) {
	list := call{kind: "tags", method: http.MethodGet, url: a.path("tags/list", url.Values{"n": {"1"}}),
		header: http.Header{"Accept": {"application/json"}}}
	body, resp, err := a.document(ctx, list, maxPageSize) //nolint:bodyclose // document has closed it
	if err != nil {
		return "", err
	}
	var page struct{ Tags []string }
	if !isObject(body) || json.Unmarshal(body, &page) != nil {
		return "", a.broken(resp, "the answer is no tags list")
	}
	i := slices.IndexFunc(page.Tags, imageref.ValidTag)
	if i < 0 {
		return "", fault(NotFound, "%s shows no tag", describe(resp.Request))
	}
	return page.Tags[i], nil
}
