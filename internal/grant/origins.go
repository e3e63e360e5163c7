package grant

import (
	"context"

	"github.com/larder-dev/larder/internal/imageref"
)

// originOf is the repository whose word counts for the images of repo: the first that is asked for them. Another that is asked where that
// fails may let more people pull, and gives bytes alone.
func (k *Keeper) originOf(repo imageref.Repository) imageref.Repository {
	if k.o.Origins != nil {
		if origins := k.o.Origins(repo); len(origins) > 0 {
			return origins[0]
		}
	}
	return repo
}

// shown has claims be for an origin.
func shown(origin imageref.Repository, claims []Claim) []Claim {
	for i := range claims {
		claims[i].origin = origin
	}
	return claims
}

// claims are what pods can show to the origin of repo.
func (k *Keeper) claims(ctx context.Context, repo imageref.Repository, pods []Pod) ([]Claim, error) {
	origin := k.originOf(repo)
	claims, err := k.o.Cluster.Claims(ctx, origin, pods)
	return shown(origin, claims), err
}

// own is what Larder itself can show to the origin of repo.
func (k *Keeper) own(ctx context.Context, repo imageref.Repository) ([]Claim, error) {
	origin := k.originOf(repo)
	claims, err := k.o.Cluster.Own(ctx, repo, origin)
	return shown(origin, claims), err
}

// everybodys is what everybody may be served for: Larder's own, that of the registries' files, and nothing at all.
func (k *Keeper) everybodys(ctx context.Context, repo imageref.Repository) ([]Claim, error) {
	origin := k.originOf(repo)
	claims, err := k.o.Cluster.Own(ctx, repo, origin)
	for _, config := range k.origin.Files(ctx, origin) {
		claims = append(claims, Claim{Credential: config, Source: sourceFiles})
	}
	return shown(origin, append(claims, Claim{})), err
}

// forAll are the IDs of the grants that everybody holds: by the origin and the sources of Larder's own that count now.
func (k *Keeper) forAll(repo imageref.Repository) map[string]bool {
	origin := k.originOf(repo)
	ids := map[string]bool{ofOrigin(Anonymous, repo, origin): true}
	for _, source := range append(k.o.Cluster.OwnSources(repo, origin), sourceFiles) {
		ids[ofOrigin(OwnPrefix+source, repo, origin)] = true
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
