package certificate

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/larder-dev/larder/internal/hop"
)

const (
	// AnnotationRotate on the Secret asks for another certificate, whatever its value.
	AnnotationRotate = "larder.dev/rotate"
	annotationSince  = "larder.dev/serving-since"

	nextCertificate = "next.crt"
	nextKey         = "next.key"

	lookEvery = time.Minute     // at the two objects
	retry     = 2 * time.Second // after a failure
)

// KeptOptions say where the registry's certificate is.
type KeptOptions struct {
	Namespace string
	Name      string        // the certificate is in the Secret "<name>-tls", whom to trust for it in the ConfigMap "<name>-ca"
	Settle    time.Duration // announced where 0
}

// Kept makes the certificate with which larder registry answers larder-proxy, and replaces it long before it ends, in a Secret that the
// registry mounts. Whom to trust is in a ConfigMap that the proxies mount: a node never gets the registry's key. The replica that leads does
// that; it reads no other Secret.
type Kept struct {
	o      KeptOptions
	reader client.Reader // without a cache: nothing is listed nor watched
	writer client.Writer
	log    logr.Logger
	now    func() time.Time
}

// NewKept adds it to a manager.
func NewKept(m manager.Manager, o KeptOptions) error {
	if o.Settle == 0 {
		o.Settle = announced
	}
	return m.Add(&Kept{o: o, reader: m.GetAPIReader(), writer: m.GetClient(), log: m.GetLogger().WithName("certificate"), now: time.Now})
}

// NeedLeaderElection is true: two that rotate would each serve what the other one does not trust.
func (*Kept) NeedLeaderElection() bool { return true }

// Start looks at the two objects until ctx ends.
func (k *Kept) Start(ctx context.Context) error {
	for {
		wait := min(lookEvery, k.o.Settle/2)
		if err := k.reconcile(ctx); err != nil && ctx.Err() == nil {
			k.log.Error(err, "keeping the registry's certificate; trying again")
			wait = retry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// reconcile writes what is to be changed: whom to trust first.
func (k *Kept) reconcile(ctx context.Context) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: k.o.Namespace, Name: k.o.Name + "-tls"}, Type: corev1.SecretTypeTLS}
	trust := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: k.o.Namespace, Name: k.o.Name + "-ca"}}
	for _, object := range []client.Object{secret, trust} {
		if err := k.reader.Get(ctx, client.ObjectKeyFromObject(object), object); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading %s: %w", object.GetName(), err)
		}
	}
	next, err := k.read(secret, trust).step(k.now())
	if err != nil {
		return err
	}
	newTrust, newSecret := trust.DeepCopy(), secret.DeepCopy()
	newTrust.Data = map[string]string{hop.TrustFile: string(encode(next.trusted))}
	fill(newSecret, next)
	if err := k.write(ctx, trust, newTrust); err != nil {
		return err // what nobody trusts is not to be served
	}
	return k.write(ctx, secret, newSecret)
}

func (k *Kept) read(secret *corev1.Secret, trust *corev1.ConfigMap) succession {
	_, asked := secret.Annotations[AnnotationRotate]
	since, _ := time.Parse(time.RFC3339, secret.Annotations[annotationSince]) // zero where it says nothing
	return succession{
		host: hop.ServerName, settle: k.o.Settle, asked: asked, since: since,
		serving: readPair(secret.Data[hop.CertificateFile], secret.Data[hop.KeyFile]),
		next:    readPair(secret.Data[nextCertificate], secret.Data[nextKey]),
		trusted: parse([]byte(trust.Data[hop.TrustFile]), k.now()),
	}
}

func fill(secret *corev1.Secret, s succession) {
	secret.Data = map[string][]byte{hop.CertificateFile: s.serving.crt, hop.KeyFile: s.serving.key}
	if s.next != nil {
		secret.Data[nextCertificate], secret.Data[nextKey] = s.next.crt, s.next.key
	}
	secret.Annotations = maps.Clone(secret.Annotations)
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	secret.Annotations[annotationSince] = s.since.UTC().Format(time.RFC3339)
	if !s.asked {
		delete(secret.Annotations, AnnotationRotate)
	}
}

// write creates or updates an object that changed; one that somebody else changed meanwhile is an error.
func (k *Kept) write(ctx context.Context, before, after client.Object) error {
	var err error
	switch {
	case before.GetResourceVersion() == "":
		err = k.writer.Create(ctx, after)
	case equality.Semantic.DeepEqual(before, after):
		return nil
	default:
		err = k.writer.Update(ctx, after)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", after.GetName(), err)
	}
	k.log.Info("wrote of the registry's certificate", "name", after.GetName())
	return nil
}
