package grant

import (
	"context"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
)

// learnEvery is how often the same word of an origin is looked at.
const learnEvery = time.Minute

// Proven notes what an origin said in the ordinary course of things, so that it need not be asked for it alone: it is for
// upstream.Options. It returns at once.
func (k *Keeper) Proven(origin imageref.Repository, p upstream.Proof) {
	name, now := fingerprint(k.salt, origin, p.Credential), k.o.Now()
	if at, ok := k.learned.Get(name); ok && now.Sub(at) < learnEvery {
		return
	}
	k.learned.Add(name, now)
	k.background(func(ctx context.Context) {
		for _, repo := range k.o.AskedFor(origin) {
			if err := k.learn(ctx, repo, origin, p); err != nil && ctx.Err() == nil {
				k.o.Log.Error(err, "what an origin accepted is not kept", "repository", repo.String())
			}
		}
	})
}

func claimOf(origin imageref.Repository, p upstream.Proof) Claim {
	c := Claim{Credential: p.Credential, origin: origin}
	if p.Files {
		c.Source = sourceFiles
	}
	return c
}

// learn keeps a proof as a grant to those who can show the credential now: of one that nobody has, nobody knows whose it was.
func (k *Keeper) learn(ctx context.Context, repo, origin imageref.Repository, p upstream.Proof) error {
	if k.originOf(repo) != origin {
		return nil // it has no say here
	}
	record, err := k.book.Record(ctx, repo)
	if err != nil {
		return err
	}
	claims := []Claim{claimOf(origin, p)}
	if !p.Files && p.Credential != (authn.AuthConfig{}) {
		claims = k.holders(ctx, repo, origin, p.Credential)
	}
	half := k.o.Rule(repo).TTL / 2 // while that is left, a grant is as good as a new one
	for _, q := range questions(repo, record, claims) {
		if _, ok := record.find(q.id, half, k.o.Now()); ok {
			continue
		}
		k.book.Add(ctx, repo, Grant{ID: q.id, Namespaces: q.namespaces, GrantedAt: k.o.Now().UTC()})
	}
	return nil
}

// holders finds whose a credential is.
func (k *Keeper) holders(ctx context.Context, repo, origin imageref.Repository, credential authn.AuthConfig) []Claim {
	claims, _ := k.own(ctx, repo) // who cannot be found is asked about when it pulls
	if pods, err := k.o.Cluster.Pods(ctx, repo, ""); err == nil {
		ofPods, _ := k.claims(ctx, repo, pods)
		claims = append(claims, ofPods...)
	}
	return slices.DeleteFunc(claims, func(c Claim) bool { return c.Credential != credential || c.origin != origin })
}
