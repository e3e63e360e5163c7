package revisions

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
)

// shortest is how much of a digest names one: as much as git wants of a commit.
const shortest = 4

// find returns the revision that a person means: any digest, or the beginning of one that the tag is known with.
func find(t cache.Tag, text string) (digest.Digest, error) {
	if dgst, err := imageref.ParseDigest(text); err == nil {
		return dgst, nil
	}
	hex := strings.TrimPrefix(strings.TrimPrefix(text, "sha256:"), "sha512:")
	if len(hex) < shortest || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q: write a digest (sha256: and 64 hexadecimal digits), or %d or more of its first digits", text, shortest)
	}
	known := append([]digest.Digest{t.Digest, t.Upstream}, t.Pin.Over)
	for _, r := range t.History {
		known = append(known, r.Digest)
	}
	var found digest.Digest
	for _, dgst := range known {
		if dgst == "" || !strings.HasPrefix(dgst.Encoded(), hex) || !strings.HasPrefix(string(dgst), strings.TrimSuffix(text, hex)) {
			continue
		}
		if found != "" && found != dgst {
			return "", fmt.Errorf("%q is the beginning of several digests, %s and %s: write more of it", text, found, dgst)
		}
		found = dgst
	}
	if found == "" {
		return "", fmt.Errorf("no revision in the history begins with %q: larder history lists them; for another one write the whole digest", text)
	}
	return found, nil
}

var errNoEarlier = errors.New("its history has no complete revision before this one: larder history lists them; name one with --to")

// earlier is the last complete revision before the one that a tag is at.
func earlier(t cache.Tag) (digest.Digest, error) {
	for _, r := range t.History {
		if r.Digest != t.Digest && !r.CompleteAt.IsZero() {
			return r.Digest, nil
		}
	}
	return "", errNoEarlier
}
