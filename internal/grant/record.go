package grant

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/larder-dev/larder/internal/imageref"
)

// Grant is the origin's yes to one credential for one repository.
type Grant struct {
	// ID is Anonymous, or OwnPrefix and a source for what is Larder's own: another credential of that source holds the grant too; with @ and
	// the origin, where that is not the repository itself. Else it is the fingerprint of a pod's credential.
	ID         string    `json:"id"`
	Namespaces []string  `json:"namespaces,omitempty"` // of the pods that had the credential, in order
	GrantedAt  time.Time `json:"grantedAt"`            // when the origin said so last
}

const (
	// Anonymous is the ID of the grant that everybody holds.
	Anonymous = "anonymous"
	// OwnPrefix begins the IDs of grants to Larder itself.
	OwnPrefix = "larder/"
)

// OfPods says whether the grant is to a credential of pods.
func (g *Grant) OfPods() bool {
	return !strings.HasPrefix(g.ID, Anonymous) && !strings.HasPrefix(g.ID, OwnPrefix)
}

// expires tells when the grant ends; the zero time: never.
func (g *Grant) expires(ttl time.Duration) time.Time {
	if ttl <= 0 {
		return time.Time{}
	}
	return g.GrantedAt.Add(ttl)
}

// Record is all that is granted of one repository. It never changes.
type Record struct {
	Grants []Grant `json:"grants"` // in the order of their IDs

	key    []byte    // of fingerprints
	read   time.Time // from the store
	stored bool      // there is one, if with no grants any more
}

// find returns a grant that holds.
func (r *Record) find(id string, ttl time.Duration, now time.Time) (Grant, bool) {
	i, ok := slices.BinarySearchFunc(r.Grants, id, func(g Grant, id string) int { return strings.Compare(g.ID, id) })
	if !ok {
		return Grant{}, false
	}
	end := r.Grants[i].expires(ttl)
	return r.Grants[i], end.IsZero() || now.Before(end)
}

// with returns a record that has the grant too. Its namespaces come to those that are known.
func (r *Record) with(g Grant) *Record {
	next := *r
	next.Grants = slices.Clone(r.Grants)
	i, known := slices.BinarySearchFunc(next.Grants, g.ID, func(g Grant, id string) int { return strings.Compare(g.ID, id) })
	if known {
		g.Namespaces = append(slices.Clone(g.Namespaces), next.Grants[i].Namespaces...)
		if next.Grants[i].GrantedAt.After(g.GrantedAt) {
			g.GrantedAt = next.Grants[i].GrantedAt
		}
	}
	slices.Sort(g.Namespaces)
	g.Namespaces = slices.Compact(g.Namespaces)
	if known {
		next.Grants[i] = g
	} else {
		next.Grants = slices.Insert(next.Grants, i, g)
	}
	return &next
}

// id names a claim in grants of a repository.
func (r *Record) id(repo imageref.Repository, c Claim) string {
	switch {
	case c.Source != "":
		return ofOrigin(OwnPrefix+c.Source, repo, c.origin)
	case c.Credential == (authn.AuthConfig{}):
		return ofOrigin(Anonymous, repo, c.origin)
	}
	return fingerprint(r.key, c.origin, c.Credential)
}

// fingerprint names a credential so that nobody learns anything of it who has not the key: a plain hash would let a reader of the store
// try passwords. The same credential has another name in another repository.
func fingerprint(key []byte, repo imageref.Repository, c authn.AuthConfig) string {
	hash := hmac.New(sha256.New, key)
	parts := []string{repo.String(), c.Username, c.Password, c.Auth, c.IdentityToken, c.RegistryToken}
	hash.Write([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// keyID tells keys apart, and reveals nothing of them.
func keyID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:4])
}
