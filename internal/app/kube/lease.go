package kube

import (
	"context"
	"crypto/rand"
	"os"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// The times of a Lease, as client-go recommends them: another process takes it leaseLife after it was last renewed, and who could not renew
// it for leaseRenewed has stopped by then.
const (
	leaseLife    = 15 * time.Second
	leaseRenewed = 10 * time.Second
	leaseRetry   = 2 * time.Second
	leaseRelease = 5 * time.Second
)

// Lease is what one of several processes holds at a time.
type Lease struct {
	Config          *rest.Config // as Configure returns it
	Name, Namespace string
	Log             logr.Logger
}

// Hold tries to hold the Lease until ctx ends, and calls work each time that it does. The context that work gets ends when the Lease is
// lost, before another process can hold it, and with ctx; then work has to return soon, and the Lease is given back.
func (l Lease) Hold(ctx context.Context, work func(context.Context)) {
	lock, err := l.lock()
	if err != nil {
		l.Log.Error(err, "the Lease cannot be held", "lease", l.Name)
		return
	}
	for ctx.Err() == nil {
		l.term(ctx, lock, work)
	}
}

func (l Lease) lock() (*resourcelock.LeaseLock, error) {
	leases, err := coordinationv1client.NewForConfig(l.Config)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return &resourcelock.LeaseLock{
		LeaseMeta: metav1.ObjectMeta{Name: l.Name, Namespace: l.Namespace}, Client: leases,
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + rand.Text()},
	}, nil
}

// term waits for the Lease, and works until it is lost or ctx ends. It is renewed until the work is done, and given back only then.
func (l Lease) term(ctx context.Context, lock *resourcelock.LeaseLock, work func(context.Context)) {
	held, end := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), l.Log.V(1)))
	defer end()
	leads := make(chan context.Context, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: l.Name, LeaseDuration: leaseLife, RenewDeadline: leaseRenewed, RetryPeriod: leaseRetry,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) { leads <- leading },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		panic(err) // the constants above are not what it demands
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		elector.Run(held)
	}()
	select {
	case leading := <-leads:
		l.work(ctx, leading, work)
	case <-ctx.Done():
	}
	end()
	<-stopped
	l.release(lock)
}

func (l Lease) work(ctx, leading context.Context, work func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(leading, cancel)()
	l.Log.Info("holding the Lease", "lease", l.Name)
	work(ctx)
	l.Log.Info("not holding the Lease any more", "lease", l.Name)
}

// release gives the Lease back, so that the next process need not wait for its end. client-go would do it while the work may go on.
func (l Lease) release(lock *resourcelock.LeaseLock) {
	ctx, cancel := context.WithTimeout(context.Background(), leaseRelease)
	defer cancel()
	record, _, err := lock.Get(ctx)
	if err != nil || record.HolderIdentity != lock.Identity() {
		return // it ends by itself, or is another's
	}
	record.HolderIdentity, record.LeaseDurationSeconds = "", 1
	if err := lock.Update(ctx, *record); err != nil {
		l.Log.Error(err, "the Lease is not given back; it ends by itself", "lease", l.Name)
	}
}
