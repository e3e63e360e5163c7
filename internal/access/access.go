// Package access finds the credentials with which Larder may ask for a repository (A3): those of the pods that use it, then the
// Repository's own, then the cloud's. It reads secrets by name, never lists them, and shows them to nobody but the client of
// origins.
package access

import (
	"context"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/imageref"
)

// Options configure a Keychain.
type Options struct {
	Pods       client.Reader                           // a cache in which usage.IndexPods indexed the pods
	Secrets    client.Reader                           // not a cache: asks the API server for each secret by its name
	Namespace  string                                  // Larder's own
	Namespaces []string                                // in which pull secrets may be read; none: in all
	Own        func(repo imageref.Repository) []string // the Repository's pullSecretNames; they are in Namespace
	Log        logr.Logger
}

// Keychain finds credentials in a cluster. It implements upstream.Credentials.
type Keychain struct{ o Options }

// New returns a keychain.
func New(o Options) *Keychain { return &Keychain{o} }

// Find returns the credentials to try for a repository, in the order of A3, those with the longest path prefix first within each
// source.
func (k *Keychain) Find(ctx context.Context, repo imageref.Repository) ([]authn.AuthConfig, error) {
	return nil, nil
}

// Stamp changes when other pods, secrets or pullSecretNames come into question for the repository.
func (k *Keychain) Stamp(repo imageref.Repository) string { return "" }
