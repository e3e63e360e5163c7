package control

import (
	"context"
	"net/http"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/grant"
)

const (
	grantsPath = "/grants"
	revokePath = "/revoke"
)

// Granter tells and ends what origins have granted. *grant.Book is one, and so is a Client.
type Granter interface {
	// Grants lists what is granted of repositories; of none given, of all. See grant.Book.Grants.
	Grants(ctx context.Context, repositories []string) ([]grant.Listed, error)
	// Revoke ends grants, and returns those. See grant.Book.Revoke.
	Revoke(ctx context.Context, r grant.Revocation) ([]grant.Grant, error)
}

type grantsRequest struct {
	Repositories []string `json:"repositories,omitempty"`
}

// granted is the answer about grants.
type granted struct {
	Listed  []grant.Listed `json:"listed,omitempty"`
	Revoked []grant.Grant  `json:"revoked,omitempty"`
}

// Grants has the owner list what is granted.
func (c *Client) Grants(ctx context.Context, repositories []string) ([]grant.Listed, error) {
	last, err := c.do(ctx, grantsPath, grantsRequest{repositories}, func(event) {})
	if err != nil || last.Granted == nil {
		return nil, err
	}
	return last.Granted.Listed, nil
}

// Revoke has the owner end grants.
func (c *Client) Revoke(ctx context.Context, r grant.Revocation) ([]grant.Grant, error) {
	last, err := c.do(ctx, revokePath, r, func(event) {})
	if err != nil || last.Granted == nil {
		return nil, err
	}
	return last.Granted.Revoked, nil
}

func (s *server) grants(w http.ResponseWriter, r *http.Request) {
	var req grantsRequest
	if !read(w, r, &req) {
		return
	}
	s.run(w, r, func(ctx context.Context, _ func(cache.Progress)) event {
		listed, err := s.owner.Grants(ctx, req.Repositories)
		if err != nil {
			return event{Failure: newFailure(err)}
		}
		return event{Granted: &granted{Listed: listed}}
	})
}

func (s *server) revoke(w http.ResponseWriter, r *http.Request) {
	var req grant.Revocation
	if !read(w, r, &req) {
		return
	}
	s.run(w, r, func(ctx context.Context, _ func(cache.Progress)) event {
		revoked, err := s.owner.Revoke(ctx, req)
		if err != nil {
			return event{Failure: newFailure(err)}
		}
		return event{Granted: &granted{Revoked: revoked}}
	})
}
