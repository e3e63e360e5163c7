package upstream

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxPages    = 1000
	maxPageSize = 32 << 20 // some origins ignore n and send everything at once
)

// pages gets a list page by page and hands each body to add until there is no next page.
func (a *attempt) pages(ctx context.Context, c call, limit int64, add func(*http.Response, []byte) error) error {
	read := map[string]bool{}
	for n := range maxPages {
		read[c.url.String()] = true
		body, resp, err := a.document(ctx, c, limit) //nolint:bodyclose // document has closed it
		if n > 0 && reason(err) == NotFound {
			return fault(Invalid, "a page that the page before names: %w", errors.Unwrap(err)) // the list itself was found
		}
		if err != nil {
			return err
		}
		if err := add(resp, body); err != nil {
			return err
		}
		next, err := a.nextPage(resp)
		if err != nil || next == nil {
			return err
		}
		if read[next.String()] {
			return a.broken(resp, "the link to the next page leads back to a page that was read")
		}
		c.url = next
	}
	return fault(Invalid, "%s %s: more than %d pages", c.method, bareURL(c.url), maxPages)
}

// nextPage reads the Link to the next page; nil where there is none. It must lead to where the page came from. Origins behind
// a proxy often get their own scheme wrong: the page's holds.
func (a *attempt) nextPage(resp *http.Response) (*url.URL, error) {
	target, found := nextLink(resp.Header.Values("Link"))
	if !found {
		return nil, nil
	}
	page := resp.Request.URL
	next, err := url.Parse(target)
	if err != nil {
		return nil, a.broken(resp, "the link to the next page is no URL")
	}
	if next.Host != "" && !strings.EqualFold(next.Host, page.Host) {
		return nil, a.broken(resp, "the link to the next page leads to another host")
	}
	next = page.ResolveReference(next)
	next.Scheme, next.Host, next.User = page.Scheme, page.Host, nil
	return next, nil
}

// nextLink returns the target of the first link with rel="next" (RFC 8288).
func nextLink(headers []string) (string, bool) {
	for _, header := range headers {
		for rest := header; ; {
			_, after, found := strings.Cut(rest, "<")
			if !found {
				break
			}
			target, after, found := strings.Cut(after, ">")
			if !found {
				break
			}
			parameters, _, _ := strings.Cut(after, "<")
			if isNext(parameters) {
				return target, true
			}
			rest = after
		}
	}
	return "", false
}

func isNext(parameters string) bool {
	for parameter := range strings.FieldsFuncSeq(parameters, func(r rune) bool { return r == ';' || r == ',' }) {
		key, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if !strings.EqualFold(strings.TrimSpace(key), "rel") {
			continue
		}
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
	}
	return false
}
