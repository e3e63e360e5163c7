package grant

import (
	"context"
	"errors"

	"github.com/larder-dev/larder/internal/imageref"
)

// origins are the repositories that are asked for the images of repo; never none.
func (k *Keeper) origins(repo imageref.Repository) []imageref.Repository {
	if k.o.Origins != nil {
		if origins := k.o.Origins(repo); len(origins) > 0 {
			return origins
		}
	}
	return []imageref.Repository{repo}
}

// shown gathers what can be shown to the origins of repo. On an error, what is known comes with it.
func (k *Keeper) shown(repo imageref.Repository, to func(origin imageref.Repository) ([]Claim, error)) ([]Claim, error) {
	var all []Claim
	var errs []error
	for _, origin := range k.origins(repo) {
		claims, err := to(origin)
		for _, c := range claims {
			c.origin = origin
			all = append(all, c)
		}
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// claims are what pods can show to the origins of repo.
func (k *Keeper) claims(ctx context.Context, repo imageref.Repository, pods []Pod) ([]Claim, error) {
	return k.shown(repo, func(origin imageref.Repository) ([]Claim, error) { return k.o.Cluster.Claims(ctx, origin, pods) })
}

// own is what Larder itself can show to the origins of repo.
func (k *Keeper) own(ctx context.Context, repo imageref.Repository) ([]Claim, error) {
	return k.shown(repo, func(origin imageref.Repository) ([]Claim, error) { return k.o.Cluster.Own(ctx, origin) })
}

// everybodys is what everybody may be served for: Larder's own, that of the registries' files, and nothing at all.
func (k *Keeper) everybodys(ctx context.Context, repo imageref.Repository) ([]Claim, error) {
	return k.shown(repo, func(origin imageref.Repository) ([]Claim, error) {
		claims, err := k.o.Cluster.Own(ctx, origin)
		for _, config := range k.origin.Files(ctx, origin) {
			claims = append(claims, Claim{Credential: config, Source: sourceFiles})
		}
		return append(claims, Claim{}), err
	})
}

// forAll are the IDs of the grants that everybody holds: by the origins and the sources of Larder's own that count now.
func (k *Keeper) forAll(repo imageref.Repository) map[string]bool {
	ids := map[string]bool{}
	for _, origin := range k.origins(repo) {
		ids[ofOrigin(Anonymous, repo, origin)] = true
		for _, source := range append(k.o.Cluster.OwnSources(origin), sourceFiles) {
			ids[ofOrigin(OwnPrefix+source, repo, origin)] = true
		}
	}
	return ids
}

// ofOrigin is the ID of a grant that another origin than the repository itself gave: it holds for as long as that is asked.
func ofOrigin(id string, repo, origin imageref.Repository) string {
	if origin == repo {
		return id
	}
	return id + "@" + origin.String()
}
