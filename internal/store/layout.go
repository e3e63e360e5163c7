package store

import (
	"errors"
	"fmt"
	"path"
	"strings"

	// The hashes behind sha256 and sha512 digests.
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// The paths are those of distribution's registry/storage/paths.go; what is Larder's own lies in _larder folders, which
// registries skip, and in /larder beside their tree.
const (
	blobsRoot        = "/docker/registry/v2/blobs"
	repositoriesRoot = "/docker/registry/v2/repositories"
	spoolRoot        = "/larder/spool"   // with the filesystem driver: spools and small files before they are renamed
	uploadsRoot      = "/larder/uploads" // temporary keys in object storage
)

// algorithms are the digest algorithms that Larder can verify.
var algorithms = []digest.Algorithm{digest.SHA256, digest.SHA512}

var errName = errors.New("the name cannot be stored")

func blobPath(dgst digest.Digest) string {
	hex := dgst.Encoded()
	return path.Join(blobsRoot, dgst.Algorithm().String(), hex[:2], hex, "data")
}

// repositoryPath returns the folder of repo. Names that could leave it, or meet the folders that begin with an underscore,
// are refused here, whoever made them.
func repositoryPath(repo imageref.Repository) (string, error) {
	name := repo.Encode()
	for component := range strings.SplitSeq(name, "/") {
		if component == "" || component == "." || component == ".." || component[0] == '_' {
			return "", fmt.Errorf("repository %q: %w", name, errName)
		}
	}
	return repositoriesRoot + "/" + name, nil
}

// kind is what a link in a repository points to.
type kind int

const (
	blobLink kind = iota
	manifestLink
)

// linkPaths returns where distribution and where Larder write that dgst belongs to repo.
func linkPaths(repo imageref.Repository, k kind, dgst digest.Digest) (link, record string, err error) {
	if _, err := imageref.ParseDigest(dgst.String()); err != nil {
		return "", "", err
	}
	root, err := repositoryPath(repo)
	if err != nil {
		return "", "", err
	}
	records := "_larder/blobs"
	if k == manifestLink {
		records = "_larder/manifests"
	}
	return linkPath(root, k, dgst), path.Join(root, records, dgst.Algorithm().String(), dgst.Encoded()), nil
}

// linkPath is distribution's place in the repository's folder root.
func linkPath(root string, k kind, dgst digest.Digest) string {
	if k == manifestLink {
		return path.Join(revisionsPath(root, dgst.Algorithm()), dgst.Encoded(), "link")
	}
	return path.Join(root, "_layers", dgst.Algorithm().String(), dgst.Encoded(), "link")
}

func revisionsPath(root string, algorithm digest.Algorithm) string {
	return path.Join(root, "_manifests/revisions", algorithm.String())
}

// tagPaths are the places of one tag.
type tagPaths struct {
	folder   string // distribution's
	current  string // distribution's link to the revision
	record   string // Larder's
	decision string // the same: what was decided of its pin
}

func pathsOfTag(repo imageref.Repository, tag string) (tagPaths, error) {
	if !imageref.ValidTag(tag) {
		return tagPaths{}, fmt.Errorf("tag %q: %w", tag, errName)
	}
	root, err := repositoryPath(repo)
	if err != nil {
		return tagPaths{}, err
	}
	return tagPaths{
		folder:   path.Join(root, "_manifests/tags", tag),
		current:  tagLink(root, tag),
		record:   path.Join(root, "_larder/tags", tag, "record"),
		decision: path.Join(root, "_larder/tags", tag, "pin"),
	}, nil
}

// tagLink is distribution's link to a tag's revision in the repository's folder root.
func tagLink(root, tag string) string { return path.Join(root, "_manifests/tags", tag, "current/link") }

// index is distribution's link that says that the tag once named dgst.
func (p tagPaths) index(dgst digest.Digest) string {
	return path.Join(p.folder, "index", dgst.Algorithm().String(), dgst.Encoded(), "link")
}

func documentPath(repo imageref.Repository, name string) (string, error) {
	for component := range strings.SplitSeq(name, "/") {
		if component == "" || component == "." || component == ".." {
			return "", fmt.Errorf("document %q: %w", name, errName)
		}
	}
	root, err := repositoryPath(repo)
	if err != nil {
		return "", err
	}
	return path.Join(root, "_larder/documents", name), nil
}
