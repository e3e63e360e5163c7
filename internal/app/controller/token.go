package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/options/controller"
	"github.com/larder-dev/larder/internal/token"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// tokenRetry is how long after a failure the token's Secret is tried again.
const tokenRetry = 2 * time.Second

// tokenKey is the key of the token in its Secret.
const tokenKey = "token"

// tokenMaker makes the Secret of the token once, on every replica: pods wait for it to start. It never reads it, and so needs no right to.
type tokenMaker struct {
	client client.Client
	secret client.ObjectKey
	log    logr.Logger
}

func makeToken(m manager.Manager, o controller.Options, log logr.Logger) error {
	if o.TokenSecret == "" {
		return nil
	}
	return m.Add(&tokenMaker{m.GetClient(), client.ObjectKey{Namespace: o.Cluster.Namespace, Name: o.TokenSecret}, log})
}

// NeedLeaderElection is false: one that exists already is left alone, whoever made it.
func (*tokenMaker) NeedLeaderElection() bool { return false }

// Start returns when the Secret exists.
func (t *tokenMaker) Start(ctx context.Context) error {
	for {
		err := t.create(ctx)
		if err == nil {
			return nil
		}
		t.log.Error(err, "the token between larder-proxy and the registry could not be made; trying again")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tokenRetry):
		}
	}
}

func (t *tokenMaker) create(ctx context.Context) error {
	err := t.client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.secret.Namespace, Name: t.secret.Name},
		StringData: map[string]string{tokenKey: token.New()},
	})
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil
	case err != nil:
		return fmt.Errorf("creating secret %s: %w", t.secret, err)
	}
	t.log.Info("made the token between larder-proxy and the registry", "secret", t.secret.String())
	return nil
}
