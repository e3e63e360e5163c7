package upstream

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	"github.com/larder-dev/larder/internal/imageref"
)

const maxTags = 1_000_000

// Tags lists all tags of a repository, following the origin's pages, in lexical order. What is no tag by the
// distribution spec is left out.
func (c *Client) Tags(ctx context.Context, repo imageref.Repository) ([]string, error) {
	return try(ctx, c, repo, func(ctx context.Context, a *attempt) ([]string, error) {
		tags := []string{}
		first := call{kind: "tags", method: http.MethodGet, url: a.path("tags/list", url.Values{"n": {"1000"}}),
			header: http.Header{"Accept": {"application/json"}}}
		err := a.pages(ctx, first, maxPageSize, func(resp *http.Response, body []byte) error {
			var page struct{ Tags []string }
			if !isObject(body) || json.Unmarshal(body, &page) != nil {
				return a.broken(resp, "the answer is no tags list")
			}
			tags = append(tags, slices.DeleteFunc(page.Tags, func(t string) bool { return !imageref.ValidTag(t) })...)
			if len(tags) > maxTags {
				return a.broken(resp, "more than %d tags", maxTags)
			}
			return nil
		})
		slices.Sort(tags)
		return slices.Compact(tags), err
	})
}
