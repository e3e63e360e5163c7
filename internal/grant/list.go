package grant

import (
	"context"
	"slices"
	"strings"

	"github.com/larder-dev/larder/internal/imageref"
)

// Listed is the grants of one repository.
type Listed struct {
	Repository string  `json:"repository"`
	Grants     []Grant `json:"grants"`
}

// Revocation says which grants end. Of several fields that are set, all must fit.
type Revocation struct {
	Repository string `json:"repository"`          // in its full form
	Namespace  string `json:"namespace,omitempty"` // of the pods that had the credential
	ID         string `json:"id,omitempty"`        // or the beginning of it
}

// fits says whether a grant ends. One that credentials of several namespaces hold, as copies of one secret do, ends for all of them.
func (r Revocation) fits(g Grant) bool {
	return (r.Namespace == "" || slices.Contains(g.Namespaces, r.Namespace)) && strings.HasPrefix(g.ID, r.ID)
}

// Grants lists what is granted of repositories, in the order of their names; of none given, of all that have grants.
func (b *Book) Grants(ctx context.Context, repositories []string) ([]Listed, error) {
	var all []Listed
	add := func(repo imageref.Repository) error {
		r, err := b.Record(ctx, repo)
		if err == nil && len(r.Grants) > 0 {
			all = append(all, Listed{repo.String(), r.Grants})
		}
		return err
	}
	for _, name := range repositories {
		repo, err := imageref.ParseRepository(name)
		if err != nil {
			return nil, err
		}
		if err := add(repo); err != nil {
			return nil, err
		}
	}
	if len(repositories) == 0 {
		if err := b.store.Repositories(ctx, add); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b Listed) int { return strings.Compare(a.Repository, b.Repository) })
	return slices.CompactFunc(all, func(a, b Listed) bool { return a.Repository == b.Repository }), nil
}

// Revoke ends grants, and returns those. Whoever held one is asked for at the origin again, and has it again where that says yes.
func (b *Book) Revoke(ctx context.Context, r Revocation) ([]Grant, error) {
	repo, err := imageref.ParseRepository(r.Repository)
	if err != nil {
		return nil, err
	}
	var revoked []Grant
	err = b.change(ctx, repo, func(known *Record) *Record {
		next := *known
		next.Grants = nil
		for _, g := range known.Grants {
			if r.fits(g) {
				revoked = append(revoked, g)
			} else {
				next.Grants = append(next.Grants, g)
			}
		}
		if len(revoked) == 0 {
			return known
		}
		return &next
	})
	return revoked, err
}
