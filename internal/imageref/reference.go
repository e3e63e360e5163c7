package imageref

import (
	_ "crypto/sha256" // what ParseDigest accepts can be verified
	_ "crypto/sha512"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

const defaultTag = "latest"

// maxTag is the distribution spec's limit for a tag.
const maxTag = 128

// Reference is an image in a repository, by tag, by digest, or both.
type Reference struct {
	Repository Repository
	Tag        string        // empty when only the digest is given
	Digest     digest.Digest // empty when only the tag is given
}

// String is the full form, "docker.io/library/nginx:1.27@sha256:...".
func (r Reference) String() string {
	s := r.Repository.String()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest.String()
	}
	return s
}

// Parse reads a reference as a pod's image field has it; without tag and digest the tag is "latest".
func Parse(s string) (Reference, error) {
	ref, err := parse(s, parseName)
	if err != nil {
		return Reference{}, fmt.Errorf("parsing image %q: %w", s, err)
	}
	return ref, nil
}

// parse reads a reference of which repository reads the name.
func parse(s string, repository func(string) (Repository, error)) (Reference, error) {
	var ref Reference
	var err error
	named, dgst, digested := strings.Cut(s, "@")
	if digested {
		if ref.Digest, err = ParseDigest(dgst); err != nil {
			return Reference{}, err
		}
	}
	name, tag, tagged := cutTag(named)
	switch {
	case tagged && !ValidTag(tag):
		return Reference{}, fmt.Errorf("tag %q must be 1 to %d letters, digits, '_', '.' or '-', not beginning with '.' or '-'", tag, maxTag)
	case !tagged && !digested:
		tag = defaultTag
	}
	ref.Tag = tag
	ref.Repository, err = repository(name)
	return ref, err
}

// cutTag cuts at the colon of the last component; an earlier one belongs to the host.
func cutTag(s string) (name, tag string, tagged bool) {
	colon := strings.LastIndexByte(s, ':')
	if colon <= strings.LastIndexByte(s, '/') {
		return s, "", false
	}
	return s[:colon], s[colon+1:], true
}

// ValidTag says whether s is a tag by the distribution spec.
func ValidTag(s string) bool {
	return s != "" && len(s) <= maxTag && s[0] != '.' && s[0] != '-' && span(s, isTagByte) == len(s)
}

func isTagByte(b byte) bool { return isLowerAlnum(b) || 'A' <= b && b <= 'Z' || isSeparator(b) }

var errDigest = errors.New("a digest is sha256: and 64, or sha512: and 128 hexadecimal digits in lower case")

// ParseDigest reads a digest that Larder can verify (sha256 or sha512).
func ParseDigest(s string) (digest.Digest, error) {
	algorithm, encoded, _ := strings.Cut(s, ":")
	switch a := digest.Algorithm(algorithm); a {
	case digest.SHA256, digest.SHA512:
		if len(encoded) == 2*a.Size() && isHex(encoded) {
			return digest.Digest(s), nil
		}
	}
	return "", fmt.Errorf("digest %q: %w", s, errDigest)
}
