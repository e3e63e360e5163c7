package upstream

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/larder-dev/larder/internal/imageref"
	"golang.org/x/sync/singleflight"
)

const (
	anonymous      = "anonymous"
	maxCredentials = 4096
	credentialTTL  = 5 * time.Minute // how long a credential helper's word holds
	lookupTimeout  = 10 * time.Second
	makeDoTTL      = 30 * time.Second
)

// credential is who Larder says it is. The zero config is anonymous.
type credential struct {
	config authn.AuthConfig
	id     string // tells credentials apart
	name   string // tells them apart for people
}

// source looks credentials up.
type source interface {
	// lookup returns the credential for a repository; the zero AuthConfig where there is none.
	lookup(repo imageref.Repository) (authn.AuthConfig, error)
	// stamp changes when the files do from which the source reads.
	stamp() string
}

// keychain finds credentials and remembers them until their files change, or for credentialTTL.
type keychain struct {
	source source
	secret []byte
	log    logr.Logger
	flight singleflight.Group
	found  *lru.Cache[imageref.Repository, finding]
	used   *lru.Cache[imageref.Repository, string] // the names of what was found last

	mu    sync.Mutex
	stamp string
}

type finding struct {
	credential *credential
	until      time.Time
}

func newKeychain(s source, secret []byte, log logr.Logger) *keychain {
	k := &keychain{source: s, secret: secret, log: log, stamp: s.stamp()}
	k.found, _ = lru.New[imageref.Repository, finding](maxCredentials) // fails only on a size below 1
	k.used, _ = lru.New[imageref.Repository, string](maxCredentials)
	return k
}

// find returns the credential for a repository; anonymous where there is none, or where ctx ends.
func (k *keychain) find(ctx context.Context, repo imageref.Repository) *credential {
	k.refresh()
	if f, ok := k.found.Get(repo); ok && time.Now().Before(f.until) {
		return f.credential
	}
	timeout := time.NewTimer(lookupTimeout) // a credential helper is a program, and knows no contexts
	defer timeout.Stop()
	select {
	case result := <-k.flight.DoChan(repo.String(), func() (any, error) { return k.lookup(repo), nil }):
		return result.Val.(*credential)
	case <-timeout.C:
		return k.makeDo(repo)
	case <-ctx.Done():
		return k.credential(authn.AuthConfig{})
	}
}

// makeDo returns the credential that was found before, if any, and holds on to it for a while: not every request shall
// wait for a credential helper that hangs.
func (k *keychain) makeDo(repo imageref.Repository) *credential {
	k.log.Info("no credentials in time, going on with what is known", "origin", repo.Host)
	c := k.credential(authn.AuthConfig{})
	if f, ok := k.found.Peek(repo); ok {
		c = f.credential
	}
	k.found.Add(repo, finding{c, time.Now().Add(makeDoTTL)})
	return c
}

func (k *keychain) lookup(repo imageref.Repository) *credential {
	config, err := k.source.lookup(repo)
	if err != nil {
		k.log.Info("looking up credentials failed, going on with what is known", "origin", repo.Host, "error", err.Error())
	}
	c := k.credential(config)
	k.found.Add(repo, finding{c, time.Now().Add(credentialTTL)})
	k.used.Add(repo, c.name)
	return c
}

// forget makes the next find look again: the origin did not accept what was found.
func (k *keychain) forget(repo imageref.Repository) { k.found.Remove(repo) }

// refresh forgets everything once the files have changed.
func (k *keychain) refresh() {
	stamp := k.source.stamp()
	k.mu.Lock()
	defer k.mu.Unlock()
	if stamp != k.stamp {
		k.stamp = stamp
		k.found.Purge()
		k.used.Purge()
	}
}

// credential names a config by a keyed hash: a plain one would let a reader of logs try passwords.
func (k *keychain) credential(config authn.AuthConfig) *credential {
	if config == (authn.AuthConfig{}) {
		return &credential{id: anonymous, name: anonymous}
	}
	hash := hmac.New(sha256.New, k.secret)
	hash.Write([]byte(strings.Join([]string{config.Username, config.Password, config.Auth, config.IdentityToken,
		config.RegistryToken}, "\x00")))
	id := hex.EncodeToString(hash.Sum(nil))
	return &credential{config: config, id: id, name: id[:12]}
}

// Credential names the credential with which requests for repo were made last, as Error.Credential does; "anonymous" where there was
// none since the files changed. It looks nothing up, and never waits.
func (c *Client) Credential(repo imageref.Repository) string {
	o, err := c.origin(repo.Host)
	if err != nil {
		return anonymous
	}
	o.keychain.refresh()
	if name, ok := o.keychain.used.Peek(repo); ok {
		return name
	}
	return anonymous
}
