// Package ocipath reads the paths of the distribution spec's API: which endpoint a URL addresses, and the name and reference in it. It
// takes paths apart and judges none of it: a name may still be invalid.
package ocipath

import (
	"net/url"
	"slices"
	"strings"
)

// Endpoint is what a path addresses.
type Endpoint int

// The endpoints.
const (
	Outside Endpoint = iota // not under /v2/
	Unknown                 // under /v2/, but nothing that the distribution spec has for pulls
	Base
	Manifest
	Blob
	Tags
	Referrers
)

// String is the endpoint's name in the access log.
func (e Endpoint) String() string {
	switch e {
	case Base:
		return "base"
	case Manifest:
		return "manifest"
	case Blob:
		return "blob"
	case Tags:
		return "tags"
	case Referrers:
		return "referrers"
	default:
		return "other"
	}
}

// Route is a path, taken apart but not judged: name and reference may still be invalid.
type Route struct {
	Endpoint  Endpoint
	Name      string // the <name> of /v2/<name>/manifests/...
	Reference string // a tag or a digest; empty for the tags list
}

// Parse reads the path from the right, since a name may itself have components such as "manifests" or "blobs".
func Parse(u *url.URL) Route {
	rest, ok := strings.CutPrefix(u.Path, "/v2")
	switch {
	case !ok, rest != "" && rest[0] != '/':
		return Route{Endpoint: Outside}
	case rest == "", rest == "/":
		return Route{Endpoint: Base}
	case hidesSlash(u.RawPath):
		return Route{Endpoint: Unknown}
	}
	parent, last := cutLast(rest[1:])
	name, keyword := cutLast(parent)
	switch {
	case keyword == "manifests":
		return Route{Endpoint: Manifest, Name: name, Reference: last}
	case keyword == "blobs":
		return Route{Endpoint: Blob, Name: name, Reference: last}
	case keyword == "referrers":
		return Route{Endpoint: Referrers, Name: name, Reference: last}
	case keyword == "tags" && last == "list":
		return Route{Endpoint: Tags, Name: name}
	}
	return Route{Endpoint: Unknown}
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

// Malformed says whether a path under /v2/ has a component that no name may have, or hides a slash in one.
func Malformed(u *url.URL) bool {
	return hidesSlash(u.RawPath) || slices.ContainsFunc(strings.Split(u.Path, "/")[1:], malformed)
}

func malformed(component string) bool {
	return component == "" || component == "." || component == ".."
}

// QueryValue returns the first value of key in a raw query. A value that is badly escaped comes as it is: no
// parameter of ours is valid with a stray % in it.
func QueryValue(raw, key string) (value string, ok bool) {
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
