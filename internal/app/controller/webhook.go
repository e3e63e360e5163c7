package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/options/controller"
	"github.com/larder-dev/larder/webhook"
	"github.com/larder-dev/larder/webhook/certificate"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// drain is how long reviews that run may go on at the end: as long as the API server waits.
const drain = 5 * time.Second

// identity is the webhook's certificate, whoever makes it.
type identity interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Check() error // why API servers would not trust it
}

// hook is the pod webhook, which every replica serves. A nil hook is one that is switched off.
type hook struct {
	listener net.Listener
	handler  http.Handler
	view     *webhook.View
	identity identity
	log      logr.Logger
}

// ours says of whom the certificate is where Larder makes it.
func ours(o controller.Options) certificate.Options {
	return certificate.Options{Name: o.Webhook.Name, Namespace: o.Cluster.Namespace}
}

// listen takes the webhook's address; there is no more to it where the webhook is off.
func listen(ctx context.Context, o controller.Options) (*hook, error) {
	if o.Webhook == nil {
		return nil, nil
	}
	listener, err := httpx.Listen(ctx, o.Webhook.Listen)
	if err != nil {
		return nil, fmt.Errorf("--webhook-listen: %w", err)
	}
	return &hook{listener: listener}, nil
}

// prepare adds to a manager what the webhook needs of it.
func (h *hook) prepare(ctx context.Context, m manager.Manager, o controller.Options, log logr.Logger) (err error) {
	if h == nil {
		return nil
	}
	h.log = log.WithName("webhook")
	if h.view, err = webhook.NewView(ctx, m.GetCache(), o.Cluster.Scope); err != nil {
		return err
	}
	digests, err := webhook.NewDigests(webhook.DigestOptions{
		View: h.view, Live: m.GetAPIReader(), Defaults: o.Defaults, Metrics: ctrlmetrics.Registry, Log: h.log,
	})
	if err != nil {
		return err
	}
	rules := *o.Webhook.Rules
	rules.Unavailable = h.view.Unavailable
	h.handler, err = webhook.New(webhook.Options{
		Rules: &rules, NamespaceLabels: h.view.NamespaceLabels, Digests: digests.Of, Metrics: ctrlmetrics.Registry, Log: h.log,
	})
	if err != nil {
		return err
	}
	if o.Webhook.CertDir != "" {
		h.identity, err = certificate.NewFiles(m, o.Webhook.CertDir)
	} else {
		h.identity, err = certificate.NewOwn(ctx, m, ours(o))
	}
	return err
}

// check says why the webhook cannot answer yet.
func (h *hook) check() error {
	if h == nil {
		return nil
	}
	return errors.Join(h.view.Check(), h.identity.Check())
}

// serve answers API servers until ctx ends.
func (h *hook) serve(ctx context.Context) error {
	if h == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+webhook.Path, h.handler)
	listener := tls.NewListener(h.listener, &tls.Config{
		GetCertificate: h.identity.GetCertificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	})
	return httpx.Serve(ctx, listener, mux, httpx.Options{Log: h.log, Drain: drain})
}

func (h *hook) close() {
	if h != nil {
		_ = h.listener.Close() // closed already where it was served
	}
}

// addr is empty where the webhook is off.
func (h *hook) addr() string {
	if h == nil {
		return ""
	}
	return h.listener.Addr().String()
}
