package kube_test

import (
	"context"

	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/app/kube"
	testkube "github.com/larder-dev/larder/tests/kube"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	leaseNamespace = "larder-lease"
	patience       = time.Minute
)

// holder is a process that wants a Lease.
type holder struct {
	stop  context.CancelFunc
	began chan struct{} // sent to each time that it holds the Lease
	ended chan struct{} // and when it does not any more
	gone  chan struct{} // closed when it is over
}

func hold(t *testing.T, config *rest.Config) *holder {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h := &holder{stop: cancel, began: make(chan struct{}, 9), ended: make(chan struct{}, 9), gone: make(chan struct{})}
	lease := kube.Lease{Config: config, Name: "larder-registry", Namespace: leaseNamespace, Log: logr.Discard()}
	go func() {
		defer close(h.gone)
		lease.Hold(ctx, func(ctx context.Context) {
			h.began <- struct{}{}
			<-ctx.Done()
			h.ended <- struct{}{}
		})
	}()
	t.Cleanup(func() {
		cancel()
		await(t, h.gone, "the end of a process")
	})
	return h
}

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

func TestLease_OneHoldsItAndGivesItBack(t *testing.T) {
	t.Parallel()
	c := testkube.New(t)
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: leaseNamespace}}); err != nil {
		t.Fatal(err)
	}
	_, config := c.User(t, "holder", "system:masters")
	first := hold(t, config)
	await(t, first.began, "the first to hold it")
	second := hold(t, config)

	restore := c.Outage(t)
	await(t, first.ended, "the first to see that it may have lost it")
	restore()
	var holds, other *holder
	select {
	case <-first.began:
		holds, other = first, second
	case <-second.began:
		holds, other = second, first
	case <-time.After(patience):
		t.Fatal("nobody holds it after an outage")
	}
	if len(other.began) > 0 {
		t.Error("two hold it")
	}

	before := holderOf(t, c)
	holds.stop()
	await(t, holds.gone, "its holder to end")
	if holderOf(t, c) == before {
		t.Error("the Lease was not given back")
	}
	await(t, other.began, "the other to hold it")
}

func holderOf(t *testing.T, c *testkube.Cluster) string {
	t.Helper()
	var lease coordinationv1.Lease
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: leaseNamespace, Name: "larder-registry"}, &lease); err != nil {
		t.Fatal(err)
	}
	return *lease.Spec.HolderIdentity
}

func TestLease_EndsWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	config := &rest.Config{Host: "https://127.0.0.1:1"}
	h := hold(t, config)
	h.stop()
	await(t, h.gone, "the end")
}
