package proxy

import (
	"net/url"
	"slices"
	"strings"
)

// endpoint is what a path addresses.
type endpoint int

const (
	outside endpoint = iota // not under /v2/
	unknown                 // under /v2/, but nothing that the distribution spec has for pulls
	base
	manifest
	blob
	tags
	referrers
)

// String is the endpoint's name in the access log.
func (e endpoint) String() string {
	switch e {
	case base:
		return "base"
	case manifest:
		return "manifest"
	case blob:
		return "blob"
	case tags:
		return "tags"
	case referrers:
		return "referrers"
	default:
		return "other"
	}
}

// route is a path, taken apart but not judged: name and reference may still be invalid.
type route struct {
	endpoint  endpoint
	name      string // the <name> of /v2/<name>/manifests/...
	reference string // a tag or a digest; empty for the tags list
}

// parseRoute reads the path from the right, since a name may itself have components such as "manifests" or "blobs".
func parseRoute(u *url.URL) route {
	rest, ok := strings.CutPrefix(u.Path, "/v2")
	switch {
	case !ok, rest != "" && rest[0] != '/':
		return route{endpoint: outside}
	case rest == "", rest == "/":
		return route{endpoint: base}
	case hidesSlash(u.RawPath):
		return route{endpoint: unknown}
	}
	parent, last := cutLast(rest[1:])
	name, keyword := cutLast(parent)
	switch {
	case keyword == "manifests":
		return route{endpoint: manifest, name: name, reference: last}
	case keyword == "blobs":
		return route{endpoint: blob, name: name, reference: last}
	case keyword == "referrers":
		return route{endpoint: referrers, name: name, reference: last}
	case keyword == "tags" && last == "list":
		return route{endpoint: tags, name: name}
	}
	return route{endpoint: unknown}
}

// cutLast splits s at its last slash. Without a slash, all of s is what comes after.
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '/')
	return s[:max(i, 0)], s[i+1:]
}

// hidesSlash says whether an encoded path has an encoded slash: decoded, it would name another repository than the one that
// whatever stands in front of us saw.
func hidesSlash(rawPath string) bool {
	return rawPath != "" && (strings.Contains(rawPath, "%2F") || strings.Contains(rawPath, "%2f"))
}

// refuseUnknown tells a malformed path from one that has no meaning here.
func refuseUnknown(u *url.URL) error {
	components := strings.Split(u.Path, "/")[1:]
	if hidesSlash(u.RawPath) || slices.ContainsFunc(components, malformed) {
		return errPath
	}
	return errEndpoint
}

func malformed(component string) bool {
	return component == "" || component == "." || component == ".."
}

// queryValue returns the first value of key in a raw query. A value that is badly escaped comes as it is: no
// parameter of ours is valid with a stray % in it.
func queryValue(raw, key string) (value string, ok bool) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k != key {
			continue
		}
		if unescaped, err := url.QueryUnescape(v); err == nil {
			return unescaped, true
		}
		return v, true
	}
	return "", false
}
