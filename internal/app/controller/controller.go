// Package controller is larder controller: it makes objects of what pods use, and expires what nothing uses. It holds no image and reads
// no secret. It wires the parts together and holds no rules of its own.
package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/controllers/cachedimage"
	"github.com/larder-dev/larder/controllers/pod"
	"github.com/larder-dev/larder/controllers/repository"
	"github.com/larder-dev/larder/controllers/revision"
	"github.com/larder-dev/larder/controllers/trigger"
	"github.com/larder-dev/larder/internal/app/admin"
	"github.com/larder-dev/larder/internal/app/kube"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/options/controller"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/webhook/certificate"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

const (
	// name is the process's, and its Lease's.
	name = "larder-controller"
	// grace is how long scrapes and probes may go on at the end.
	grace = 400 * time.Millisecond
)

// Run works until ctx ends, or the Lease is lost. Where the API server does not answer, it waits. In text format it says on out, in a
// person's words, what it does; all else goes to log.
func Run(ctx context.Context, o controller.Options, out io.Writer, log logr.Logger) error {
	listener, err := httpx.Listen(ctx, o.MetricsListen)
	if err != nil {
		return fmt.Errorf("--metrics-listen: %w", err)
	}
	defer listener.Close()
	pods, err := listen(ctx, o)
	if err != nil {
		return err
	}
	defer pods.close()
	registries, err := listenToRegistries(ctx, o, log)
	if err != nil {
		return err
	}
	defer registries.close()
	group, ctx := errgroup.WithContext(ctx)
	m, err := newManager(ctx, o, log)
	if err == nil {
		registries.prepare(m, o)
		err = errors.Join(pods.prepare(ctx, m, o, log), announce(out, o, listener.Addr().String(), pods.addr(), registries.addr(), log))
	}
	if err != nil {
		return err
	}
	probes, endProbes := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error {
		defer endProbes()
		return m.Start(ctx)
	})
	group.Go(func() error { return pods.serve(ctx) })
	group.Go(func() error { return registries.serve(ctx) })
	group.Go(func() error {
		handler := admin.Handler(ctrlmetrics.Registry, pods.check)
		return httpx.Serve(probes, listener, handler, httpx.Options{Log: log.WithName("probes"), Drain: grace})
	})
	return group.Wait()
}

func newManager(ctx context.Context, o controller.Options, log logr.Logger) (manager.Manager, error) {
	options := kube.Options{Config: kube.Configure(o.Cluster.Config, name, log), Log: log}
	if o.LeaderElect {
		options.Lease, options.Namespace = name, o.Cluster.Namespace
	}
	if o.Webhook != nil && o.Webhook.CertDir == "" {
		options.Objects = certificate.Objects(ours(o))
	}
	m, err := kube.NewManager(ctx, options)
	if err != nil {
		return nil, err
	}
	return m, errors.Join(index(ctx, m, o), register(m, o), makeToken(m, o, log.WithName("token")), keepCertificate(m, o))
}

// keepCertificate has the registry's certificate made, if there is to be one.
func keepCertificate(m manager.Manager, o controller.Options) error {
	if o.RegistryTLS.Name == "" {
		return nil
	}
	return certificate.NewKept(m, o.RegistryTLS)
}

// index prepares the manager's cache for what the reconcilers ask of it.
func index(ctx context.Context, m manager.Manager, o controller.Options) error {
	errs := []error{
		usage.IndexPods(ctx, m.GetFieldIndexer(), o.Cluster.Scope),
		usage.IndexImages(ctx, m.GetFieldIndexer()),
		usage.IndexRepositories(ctx, m.GetFieldIndexer()),
	}
	if o.KeepWorkloadImages || o.Triggers {
		errs = append(errs, usage.IndexWorkloads(ctx, m.GetFieldIndexer(), o.Cluster.Scope))
	}
	return errors.Join(errs...)
}

func register(m manager.Manager, o controller.Options) error {
	images := cachedimage.New(cachedimage.Options{
		Client: m.GetClient(), Live: m.GetAPIReader(), Scope: o.Cluster.Scope, Workloads: o.KeepWorkloadImages,
		ExpiryDelay: o.ExpiryDelay, Grace: o.ExpiryGrace,
	})
	return errors.Join(
		pod.New(m.GetClient(), o.Cluster.Scope).Register(m),
		images.Register(m),
		repository.New(m.GetClient(), o.Defaults).Register(m),
		registerRollouts(m, o),
	)
}

// registerRollouts adds what looks after the revisions of workloads, as far as it is wanted.
func registerRollouts(m manager.Manager, o controller.Options) error {
	revisions := revision.NewRelease(m.GetClient()) // of what was kept before somebody switched that off
	if o.KeepWorkloadImages {
		revisions = revision.New(m.GetClient(), o.Cluster.Scope, o.Defaults)
	}
	errs := []error{revisions.Register(m)}
	if o.Triggers {
		triggers, err := trigger.New(trigger.Options{
			Client: m.GetClient(), Live: m.GetAPIReader(), Scope: o.Cluster.Scope, Defaults: o.Defaults,
			Events: m.GetEventRecorder(name), Metrics: ctrlmetrics.Registry,
		})
		if err != nil {
			return err
		}
		errs = append(errs, triggers.Register(m))
	}
	return errors.Join(errs...)
}
