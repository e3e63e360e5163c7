package controller

import (
	"errors"
	"fmt"
	"strings"

	"github.com/larder-dev/larder/internal/options/cluster"
	"github.com/larder-dev/larder/internal/options/daemon"
	"github.com/larder-dev/larder/internal/rewrite"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	flagWebhook        = "webhook"
	flagWebhookListen  = "webhook-listen"
	flagWebhookName    = "webhook-name"
	flagWebhookCertDir = "webhook-cert-dir"
)

// Webhook is how pods are rewritten.
type Webhook struct {
	Listen  string // host:port
	Name    string // of the MutatingWebhookConfiguration and the Service
	CertDir string // where somebody else keeps tls.crt and tls.key; empty: Larder makes them
	Rules   *rewrite.Rules
}

type webhookFlags struct {
	flags   *pflag.FlagSet
	on      bool
	listen  string
	name    string
	certDir string
}

func (f *webhookFlags) bind(flags *pflag.FlagSet) {
	f.flags = flags
	flags.BoolVar(&f.on, flagWebhook, true, "serve the pod webhook, on every replica; default: unless in mirror mode")
	flags.StringVar(&f.listen, flagWebhookListen, ":7443", "address on which the API server asks the pod webhook, by TLS")
	flags.StringVar(&f.name, flagWebhookName, "larder-webhook",
		"name of the MutatingWebhookConfiguration and of the Service in Larder's namespace; the certificates' authority is in the Secret <name>-ca")
	flags.StringVar(&f.certDir, flagWebhookCertDir, "",
		"folder where somebody else, such as cert-manager, keeps tls.crt and tls.key, and the configuration's caBundle; default: Larder does")
}

func (f *webhookFlags) check(metricsListen string) error {
	errs := []error{daemon.CheckAddress(flagWebhookListen, f.listen)}
	if f.listen == metricsListen && !strings.HasSuffix(f.listen, ":0") {
		errs = append(errs, fmt.Errorf("--%s: %q is the address of metrics and probes too: write two addresses", flagWebhookListen, f.listen))
	}
	if wrong := validation.IsDNS1035Label(f.name); len(wrong) > 0 {
		errs = append(errs, fmt.Errorf("--%s: %q: %s", flagWebhookName, f.name, strings.Join(wrong, ", ")))
	}
	return errors.Join(errs...)
}

// options returns nil where there is no webhook.
func (f *webhookFlags) options(in cluster.Options, rules func() (*rewrite.Rules, error)) (*Webhook, error) {
	if !f.on || in.Scope.All && !f.flags.Changed(flagWebhook) {
		return nil, nil
	}
	read, err := rules()
	if err != nil {
		return nil, err
	}
	return &Webhook{Listen: f.listen, Name: f.name, CertDir: f.certDir, Rules: read}, nil
}
