package upstream

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/larder-dev/larder/internal/imageref"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/sync/singleflight"
)

const (
	anonymous      = "anonymous"
	maxCredentials = 4096
	credentialTTL  = 5 * time.Minute // how long a source's word holds
	credentialNew  = 5 * time.Second // how old what was found may be for a denial of it to be believed at once
	lookupTimeout  = 10 * time.Second
	makeDoTTL      = 30 * time.Second
	// staleLimit is how old what was found may be for an operation to go on with it while it is looked up again.
	staleLimit = time.Hour
	// maxCredential is how long the value of an Authorization header may be that a credential makes, in bytes.
	maxCredential = 16 << 10
)

var errLookup = fmt.Errorf("no answer within %s", lookupTimeout)

// credential is who Larder says it is. The zero config is anonymous.
type credential struct {
	config authn.AuthConfig
	id     string // tells credentials apart
	name   string // tells them apart for people
	// mirrors says that it may be shown to mirrors too. Credentials of the cluster's are for the origin itself; those of a file are the
	// operator's, as the list of mirrors is.
	mirrors bool
}

func (c *credential) anonymous() bool { return c.id == anonymous }

// newCredential names a config by a keyed hash: a plain one would let a reader of logs try passwords.
func newCredential(config authn.AuthConfig, secret []byte) *credential {
	if config == (authn.AuthConfig{}) {
		return &credential{id: anonymous, name: anonymous}
	}
	id := keyedHash(secret, config.Username, config.Password, config.Auth, config.IdentityToken, config.RegistryToken)
	return &credential{config: config, id: id, name: id[:12]}
}

func keyedHash(secret []byte, parts ...string) string {
	hash := hmac.New(sha256.New, secret)
	hash.Write([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(hash.Sum(nil))
}

// sendable says whether a request can carry a credential. With one that it cannot carry, an origin would look as if it could not be reached.
func sendable(config authn.AuthConfig) bool {
	for _, value := range []string{basic(config), config.RegistryToken} {
		if len(value) > maxCredential || !httpguts.ValidHeaderFieldValue(value) {
			return false
		}
	}
	return true
}

// keychain remembers the credentials that a source finds: until it would look elsewhere, or until the origin refuses them all. After
// credentialTTL they are looked up again, which nobody waits for.
type keychain struct {
	source  Credentials
	mirrors bool // see credential
	secret  []byte
	log     logr.Logger
	flight  singleflight.Group
	found   *lru.Cache[imageref.Repository, *finding]
}

// finding is what a source said of a repository.
type finding struct {
	stamp       string // the source's, before it was asked
	credentials []*credential
	at, until   time.Time
	failed      bool        // the source said less than it should
	denied      atomic.Bool // the origin accepted none of them, nor any other
}

// holds says whether a finding may be used that is not to be older than maxAge.
func (f *finding) holds(now time.Time, maxAge time.Duration) bool {
	return !f.denied.Load() && now.Before(f.until) && now.Sub(f.at) < maxAge
}

// serves says whether a finding may be used while it is looked up again. Where it turns out that the origin denies it, try asks for what
// is new.
func (f *finding) serves(now time.Time, maxAge time.Duration) bool {
	return !f.denied.Load() && maxAge >= credentialTTL && now.Sub(f.at) < staleLimit
}

func newKeychain(source Credentials, secret []byte, log logr.Logger) *keychain {
	_, mirrors := source.(inFile)
	k := &keychain{source: source, mirrors: mirrors, secret: secret, log: log}
	k.found, _ = lru.New[imageref.Repository, *finding](maxCredentials) // fails only on a size below 1
	return k
}

// known returns what was found last, though it may have become old, and the source's stamp. It is nil where nothing was found since the
// stamp changed.
func (k *keychain) known(repo imageref.Repository) (*finding, string) {
	stamp := k.source.Stamp(repo)
	if f, ok := k.found.Peek(repo); ok && f.stamp == stamp {
		return f, stamp
	}
	return nil, stamp
}

// begin has the source look credentials up, unless something is known that is no older than maxAge, and returns a function that waits for
// the result. A lookup is shared by all who need it, and belongs to none of them.
func (k *keychain) begin(repo imageref.Repository, maxAge time.Duration) (wait func(context.Context) *finding) {
	known, stamp := k.known(repo)
	if known != nil && known.holds(time.Now(), maxAge) {
		return func(context.Context) *finding { return known }
	}
	started := time.Now()
	done := k.flight.DoChan(repo.String()+" "+stamp, func() (any, error) { return k.lookup(repo, stamp), nil })
	if known != nil && known.serves(started, maxAge) {
		return func(context.Context) *finding { return known }
	}
	return func(ctx context.Context) *finding {
		// A credential helper is a program, and knows no contexts.
		timeout := time.NewTimer(lookupTimeout - time.Since(started))
		defer timeout.Stop()
		select {
		case result := <-done:
			return result.Val.(*finding)
		case <-timeout.C:
			return k.late(repo, stamp)
		case <-ctx.Done():
			return &finding{stamp: stamp}
		}
	}
}

// lookup asks the source.
func (k *keychain) lookup(repo imageref.Repository, stamp string) *finding {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	now := time.Now()
	f := &finding{stamp: stamp, at: now, until: now.Add(credentialTTL)}
	configs, err := k.source.Find(ctx, repo)
	for _, config := range configs {
		switch {
		case config == (authn.AuthConfig{}):
		case !sendable(config):
			k.log.Info("a credential left out that fits into no request", "repository", repo.String())
		default:
			c := newCredential(config, k.secret)
			c.mirrors = k.mirrors
			f.credentials = append(f.credentials, c)
		}
	}
	if err != nil {
		k.makeDo(f, repo, err)
	}
	k.found.Add(repo, f)
	return f
}

// late is the finding of a lookup that takes too long.
func (k *keychain) late(repo imageref.Repository, stamp string) *finding {
	f := &finding{stamp: stamp, at: time.Now()}
	k.makeDo(f, repo, errLookup)
	k.found.Add(repo, f)
	return f
}

// makeDo has a finding hold on for a while to what was known, where the source found nothing: not every request shall wait for a source
// that fails. The log is told once for as long as it does.
func (k *keychain) makeDo(f *finding, repo imageref.Repository, err error) {
	known, _ := k.known(repo)
	if known == nil || !known.failed {
		k.log.Info("looking up credentials failed, going on with what is known", "repository", repo.String(), "error", err.Error())
	}
	f.until, f.failed = f.at.Add(makeDoTTL), true
	if known != nil && len(f.credentials) == 0 {
		f.credentials = known.credentials
	}
}
