// Package grant decides to which nodes images are served (rules A1 and A2). What its origin gives to everybody, or to Larder itself, every
// pod may have; all else a node gets only where a pod that is bound to it uses an image of the repository and has a credential to which the
// origin once said yes. That yes is a grant. It is kept in the store, and outlives the credential, the origin's outages and this process.
//
// The package knows neither Kubernetes nor HTTP: what it has to know of a cluster comes through Cluster. It never keeps a credential: a
// grant names one by a keyed hash, which differs between repositories.
package grant

import (
	"context"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
)

// Request is what is asked for, and for whom.
type Request struct {
	Node  string // on which the image is to run; empty: the request names none
	Repo  imageref.Repository
	Probe upstream.Probe // what of the repository
}

// Rule is what a Repository says of who may pull.
type Rule struct {
	Shared bool          // everybody: nothing is asked
	TTL    time.Duration // how long a grant holds; 0: for ever
}

// Pod is a pod that has not finished.
type Pod struct {
	Namespace, Name, UID string
	Secrets              []string // names of its pull secrets that may be read, in its order
}

// Claim is a credential that somebody can show.
type Claim struct {
	Credential authn.AuthConfig // the zero one: none
	Namespace  string           // of the pods that have it
	Source     string           // what it is of Larder's own, such as "secret/hub"; empty: a pod's

	origin imageref.Repository // to which it is shown
}

// Cluster is what has to be known of a cluster. It is safe for concurrent use.
type Cluster interface {
	// Pods lists the pods on a node (empty: on any) that use an image of repo, the newest first. An error says that nobody knows: the
	// API server has not told of any pod yet. It waits for that until ctx ends at the latest.
	Pods(ctx context.Context, repo imageref.Repository, node string) ([]Pod, error)
	// Claims reads what pods can show to an origin, in the order of A3. On an error, what is known from before comes with it.
	Claims(ctx context.Context, origin imageref.Repository, pods []Pod) ([]Claim, error)
	// Own reads what Larder itself can show to an origin for the images of repo. On an error, what is known from before comes with it.
	Own(ctx context.Context, repo, origin imageref.Repository) ([]Claim, error)
	// OwnSources names the sources of which Own reads, without asking anybody.
	OwnSources(repo, origin imageref.Repository) []string
	// Changed returns a channel that is closed when another pod comes to use an image of repo, or one stops to.
	Changed(repo imageref.Repository) <-chan struct{}
}

// Origin asks origins. *upstream.Client is one.
type Origin interface {
	Confirm(ctx context.Context, repo imageref.Repository, credential authn.AuthConfig, probe upstream.Probe) error
	Files(ctx context.Context, repo imageref.Repository) []authn.AuthConfig
}

// sourceFiles is the source of the credentials of registries' own files, which are the operator's.
const sourceFiles = "files"
