// Package access finds the credentials with which Larder may ask for a repository (A3): those of the pods that use it, then the
// Repository's own, then the cloud's. It reads secrets by name, never lists them, and shows them to nobody but the client of
// origins. What it says in errors and logs names secrets, and never holds anything of their content.
//
// The cloud's identity (ECR, Artifact Registry and GCR, ACR) is asked for through the clouds' own libraries. That is wired, but has not
// been tried against the clouds.
package access

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/imageref"
)

// apiTimeout bounds each wait for the API server: for the pods to be known, and for the secrets to be read.
const apiTimeout = 2 * time.Second

// Options configure a Keychain.
type Options struct {
	Pods client.Reader // a cache in which usage.IndexPods indexed the pods
	// Users returns the repositories, as pods name them, whose images come from repo: itself, and those that have it for an origin. nil:
	// itself alone.
	Users      func(repo imageref.Repository) []imageref.Repository
	Secrets    client.Reader                           // not a cache: asks the API server for each secret by its name
	Namespace  string                                  // Larder's own
	Namespaces []string                                // in which pull secrets may be read; none: in all
	Own        func(repo imageref.Repository) []string // the pullSecretNames that a repository is asked with; they are in Namespace
	OwnOf      func(repo imageref.Repository) []string // those of its own Repository alone, which open it to all; nil: the same
	Log        logr.Logger
}

// Keychain finds credentials in a cluster. It implements upstream.Credentials and grant.Cluster.
type Keychain struct {
	o       Options
	secrets *secrets
	cloud   *cloud
	changes *changes
}

// New returns a keychain.
func New(o Options) *Keychain {
	if o.Own == nil {
		o.Own = func(imageref.Repository) []string { return nil }
	}
	if o.OwnOf == nil {
		o.OwnOf = o.Own
	}
	if o.Users == nil {
		o.Users = func(repo imageref.Repository) []imageref.Repository { return []imageref.Repository{repo} }
	}
	return &Keychain{o: o, secrets: newSecrets(o.Secrets, o.Log), cloud: newCloud(identities(), o.Log), changes: newChanges()}
}

// Find returns the credentials to try for a repository, in the order of A3, those with the longest path prefix first within each
// source; among equals those of the newest pods, which are most likely to wait for their image. Where the API server does not
// answer, it returns an error beside what it knows from before.
func (k *Keychain) Find(ctx context.Context, repo imageref.Repository) ([]authn.AuthConfig, error) {
	cloud := meanwhile(func() []authn.AuthConfig { return k.cloud.find(ctx, repo.Host) })
	own := meanwhile(func() result { return k.read(ctx, repo, k.inLarders(k.o.Own(repo))) })
	of := k.ofPods(ctx, repo)
	owned := own()
	return slices.Concat(of.credentials, owned.credentials, cloud()), errors.Join(of.err, owned.err)
}

type result struct {
	credentials []authn.AuthConfig
	err         error
}

// meanwhile runs fn on its own, and returns a function that waits for its result.
func meanwhile[T any](fn func() T) (wait func() T) {
	done := make(chan T, 1)
	go func() { done <- fn() }()
	return func() T { return <-done }
}

// ofPods finds the credentials of the pods that use images of the repository, by whatever name. The cache of pods waits until it is in sync.
func (k *Keychain) ofPods(ctx context.Context, repo imageref.Repository) result {
	listing, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	pods, err := k.users(listing, repo)
	if err != nil {
		return result{err: err}
	}
	return k.read(ctx, repo, k.named(pods))
}

// inLarders are secrets in Larder's own namespace.
func (k *Keychain) inLarders(secrets []string) []types.NamespacedName {
	var names []types.NamespacedName
	for _, name := range secrets {
		names = append(names, types.NamespacedName{Namespace: k.o.Namespace, Name: name})
	}
	return names
}

// read returns what the secrets hold for a repository.
func (k *Keychain) read(ctx context.Context, repo imageref.Repository, names []types.NamespacedName) result {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	entries, err := k.secrets.read(ctx, names)
	return result{matching(entries, repo), err}
}
