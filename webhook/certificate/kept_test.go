package certificate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/larder-dev/larder/internal/hop"
	"github.com/larder-dev/larder/tests/kube"
)

var errAway = errors.New("the API server is away")

// keeper is a Kept whose writes a test counts and fails.
type keeper struct {
	*Kept
	client client.Client
	wrote  []string
	fails  string // the name of the object that cannot be written
	clock  time.Time
}

func newKeeper() *keeper {
	k := &keeper{clock: start}
	count := func(name string) error {
		if name == k.fails {
			return errAway
		}
		k.wrote = append(k.wrote, name)
		return nil
	}
	k.client = interceptor.NewClient(fake.NewClientBuilder().WithScheme(kube.Scheme()).Build(), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if err := count(o.GetName()); err != nil {
				return err
			}
			return c.Create(ctx, o, options...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.UpdateOption) error {
			if err := count(o.GetName()); err != nil {
				return err
			}
			return c.Update(ctx, o, options...)
		},
	})
	k.Kept = &Kept{
		o:      KeptOptions{Namespace: "larder-system", Name: "larder-registry", Settle: announced},
		reader: k.client, writer: k.client, log: logr.Discard(), now: func() time.Time { return k.clock },
	}
	return k
}

func TestKept_WritesNothingWhereNothingChanges(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	for _, passed := range []time.Duration{0, time.Minute, announced, 24 * time.Hour} {
		k.clock = start.Add(passed)
		if err := k.reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.wrote) != 2 {
		t.Errorf("it wrote %v, want each object once", k.wrote)
	}
}

func TestKept_NothingServesThatCouldNotBeTrusted(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	k.fails = "larder-registry-ca"
	if err := k.reconcile(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("got %v", err)
	}
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: "larder-system", Name: "larder-registry-tls"}
	if err := k.client.Get(t.Context(), key, &secret); err == nil {
		t.Error("the certificate was written, though whom to trust could not be")
	}
	k.fails = ""
	if err := k.reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := k.client.Get(t.Context(), key, &secret); err != nil {
		t.Fatal(err)
	}
	if pair := readPair(secret.Data[hop.CertificateFile], secret.Data[hop.KeyFile]); !pair.good(hop.ServerName, k.clock) {
		t.Error("the Secret has no certificate for the registry")
	}
	if pair := readPair(secret.Data[hop.CertificateFile], secret.Data[hop.KeyFile]); pair != nil && pair.certificate.IsCA {
		t.Error("with the registry's key others could be signed")
	}
}
