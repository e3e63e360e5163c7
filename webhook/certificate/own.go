package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	cmtls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Options say whose certificate it is.
type Options struct {
	// Name is that of the MutatingWebhookConfiguration and of the Service; the authority is in the Secret "<name>-ca".
	Name      string
	Namespace string // of the Service and the Secret

	settle time.Duration // settle; a test has less
}

func (o Options) secret() client.ObjectKey {
	return client.ObjectKey{Namespace: o.Namespace, Name: o.Name + "-ca"}
}

// serverName is what API servers know the webhook by.
func (o Options) serverName() string { return o.Name + "." + o.Namespace + ".svc" }

// Objects is what a manager's cache has to be told of the two objects that Own reads: it may watch no others of their kinds.
func Objects(o Options) map[client.Object]cache.ByObject {
	named := func(name string) fields.Selector { return fields.OneTermEqualSelector("metadata.name", name) }
	return map[client.Object]cache.ByObject{
		&admissionregistrationv1.MutatingWebhookConfiguration{}: {Field: named(o.Name)},
		&corev1.Secret{}: {Namespaces: map[string]cache.Config{o.Namespace: {FieldSelector: named(o.secret().Name)}}},
	}
}

// Own makes the webhook's certificates: an authority in a Secret that all replicas share, and leaves of it in memory. It rotates both,
// and has the API server trust each authority before it serves a leaf of it.
type Own struct {
	o      Options
	source *cmtls.DynamicSource
	turn   *turn
	reader client.Reader
	config cache.Informer
}

// NewOwn adds all that it takes to a manager whose cache knows Objects.
func NewOwn(ctx context.Context, m manager.Manager, o Options) (*Own, error) {
	informer, err := m.GetCache().GetInformer(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching the webhook configuration: %w", err)
	}
	own := &Own{o: o, reader: m.GetCache(), config: informer, source: &cmtls.DynamicSource{
		DNSNames: []string{o.serverName(), "localhost"}, // the latter for who looks through a port-forward
		Authority: &authority.DynamicAuthority{
			SecretNamespace: o.Namespace, SecretName: o.secret().Name, RESTConfig: m.GetConfig(), CommonName: o.Name + "-ca",
		},
	}}
	wait := settle
	if o.settle != 0 {
		wait = o.settle
	}
	own.turn = &turn{newest: own.newest, trusted: own.trusted, now: time.Now, settle: wait}
	trust := &injector{client: m.GetClient(), config: client.ObjectKey{Name: o.Name}, secret: o.secret(), now: time.Now}
	return own, errors.Join(m.Add(&maker{own.source, m.GetLogger().WithName("certificate")}), trust.register(m))
}

// GetCertificate is for a tls.Config.
func (o *Own) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return o.turn.certificate()
}

// Check says why API servers would not trust the certificate that is served.
func (o *Own) Check() error {
	certificate, err := o.turn.certificate()
	if err != nil {
		return err
	}
	return o.trusted(certificate)
}

func (o *Own) newest() (*tls.Certificate, error) {
	certificate, err := o.source.GetCertificate(nil)
	if errors.Is(err, cmtls.ErrNotAvailable) {
		err = errors.New("there is no certificate yet")
	}
	return certificate, err
}

// trusted looks into the cache and never waits.
func (o *Own) trusted(certificate *tls.Certificate) error {
	if !o.config.HasSynced() {
		return errors.New("the webhook configuration has not been read yet")
	}
	var config admissionregistrationv1.MutatingWebhookConfiguration
	if err := o.reader.Get(context.Background(), client.ObjectKey{Name: o.o.Name}, &config); err != nil {
		return fmt.Errorf("reading the webhook configuration: %w", err)
	}
	for _, hook := range config.Webhooks {
		if err := vouches(hook.ClientConfig.CABundle, certificate.Leaf, o.o.serverName(), time.Now()); err != nil {
			return fmt.Errorf("the webhook configuration %s does not trust the certificate: %w", config.Name, err)
		}
	}
	return nil
}

// maker runs the source under a manager, leader or not.
type maker struct {
	*cmtls.DynamicSource
	log logr.Logger
}

func (m *maker) Start(ctx context.Context) error {
	if err := m.DynamicSource.Start(logr.NewContext(ctx, m.log)); err != nil {
		return fmt.Errorf("making the webhook's certificate: %w", err)
	}
	return nil
}
