// Package registry is larder registry: the cache of larder serve with the API server as the source of its policies. It serves what it has
// whether or not the API server answers: what talks to that runs beside the cache and never takes it down. It wires the parts together
// and holds no rules of its own.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/controllers/mirror"
	policies "github.com/larder-dev/larder/controllers/policy"
	"github.com/larder-dev/larder/internal/access"
	"github.com/larder-dev/larder/internal/app/kube"
	"github.com/larder-dev/larder/internal/app/owner"
	"github.com/larder-dev/larder/internal/app/server"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/options/registry"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/replicas"
	"github.com/larder-dev/larder/internal/rollout"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/larder-dev/larder/internal/version"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
)

const (
	// name is what the API server's log, and events, call the process.
	name = "larder-registry"
	// snapshot is the file in the data folder with the last known policies.
	snapshot = "policies.json"
)

// process is a running larder registry.
type process struct {
	options  registry.Options
	log      logr.Logger
	config   *rest.Config // of the API server
	policies *policy.Current
	follower *policies.Reconciler
	pods     *kube.Reader
	keychain *access.Keychain
	events   atomic.Pointer[recorder.EventRecorder] // nil until a manager runs
	mirror   atomic.Pointer[mirror.Reconciler]      // the same
	pressure atomic.Pointer[pressure]               // the same
	share    *replicas.Share                        // nil: there are no peers; set before the server serves
	server   *server.Server
}

// Run serves until ctx ends, then until clients that are reading are done, for 30 s at most. In text format it says on out, in
// a person's words, what it does; all else goes to log.
func Run(ctx context.Context, o registry.Options, out io.Writer, log logr.Logger) error {
	p, err := newProcess(ctx, o, log)
	if err != nil {
		return err
	}
	err = p.open(ctx)
	if err == nil {
		err = p.announce(out)
	}
	if err == nil {
		err = p.server.Serve(ctx, p.background()...)
	}
	return errors.Join(err, p.server.Close())
}

func newProcess(ctx context.Context, o registry.Options, log logr.Logger) (*process, error) {
	p := &process{options: o, log: log, policies: &policy.Current{}, pods: kube.NewReader(ctx)}
	p.config = kube.Configure(o.Cluster.Config, name, log)
	p.follower = policies.New(policies.Options{
		Client: p.pods, Current: p.policies, Defaults: o.Defaults, Snapshot: filepath.Join(o.Data, snapshot), Log: log.WithName("policy"),
	})
	secrets, err := kube.NewLive(p.config)
	if err != nil {
		return nil, err
	}
	p.keychain = access.New(access.Options{
		Pods: p.pods, Secrets: secrets, Namespace: o.Cluster.Namespace, Namespaces: o.PullSecretNamespaces,
		Own:   func(repo imageref.Repository) []string { return p.policies.Load().PullSecrets(repo) },
		OwnOf: func(repo imageref.Repository) []string { return p.policies.Load().OwnPullSecrets(repo) },
		Users: func(repo imageref.Repository) []imageref.Repository { return p.policies.Load().AskedFor(repo) },
		Log:   log.WithName("access"),
	})
	p.server = server.New(p.serverOptions())
	return p, nil
}

func (p *process) serverOptions() server.Options {
	own := prometheus.NewRegistry() // Go's runtime and the process itself are counted in controller-runtime's
	counted := metrics.New(own)
	counted.BuildInfo.WithLabelValues(version.Version()).Set(1)
	return server.Options{
		TLS: p.tls(), Holds: p.holds(), Lead: p.lead(),
		Options: owner.Options{
			Cache: p.options.Cache, Policies: p.policies, OnTag: p.tagChanged, Owns: p.owns, Keep: p.keep, KeepDigest: p.keepDigest,
			OnEvict: p.evicting, OnCrowded: p.crowded,
			Self:        func() []string { return []string{kube.Address(p.config)} },
			Credentials: p.keychain, Grants: p.grants(), Metrics: counted, Log: p.log,
		},
		Known:  p.follower.Known,
		Listen: p.options.Listen, MetricsListen: p.options.MetricsListen,
		Gatherer: prometheus.Gatherers{ctrlmetrics.Registry, own},
		Changes:  metrics.NewEvents(own), Source: "/larder/" + p.options.Cluster.Namespace,
	}
}

// tls is nil where the registry answers in plain HTTP.
func (p *process) tls() *tls.Config {
	if p.options.Certificate == nil {
		return nil
	}
	return p.options.Certificate.Config()
}

// holds is nil where no request has to show a token.
func (p *process) holds() func(string) bool {
	if p.options.Token == nil {
		return nil
	}
	return p.options.Token.Holds
}

// open takes the data folder, puts the last known policies in force and only then listens.
func (p *process) open(ctx context.Context) error {
	if err := p.server.Open(ctx); err != nil {
		return err
	}
	if err := p.follower.Load(); err != nil {
		p.log.Error(err, "the defaults alone are in force until the API server answers")
	}
	if err := p.server.Listen(ctx); err != nil {
		return err
	}
	return p.join()
}

func (p *process) tagChanged(repo imageref.Repository, tag string) {
	if r := p.mirror.Load(); r != nil {
		r.TagChanged(repo, tag)
	}
}

// keep says of a tag that no object names whether it must not expire: while the API server has not told the objects nor the pods, and
// where a pod uses it. That its object is missing may be a mistake.
func (p *process) keep(repo imageref.Repository, tag string) bool {
	return p.used(repo, func(ref imageref.Reference) bool { return ref.Tag == tag })
}

// keepDigest says the same of a manifest that no tag and no object names: a pod names it by its digest, or runs it, or a revision of a workload
// would get it, while no pod of that runs.
func (p *process) keepDigest(repo imageref.Repository, dgst digest.Digest) bool {
	named := func(ref imageref.Reference) bool { return ref.Digest == dgst }
	runs := func(pod *corev1.Pod) bool { return slices.Contains(usage.Digests(pod), dgst) }
	return p.used(repo, named) || p.usedBy(repo, runs) || p.kept(repo, dgst)
}

// kept says whether a revision of a workload gets a digest when it scales up, as far as anybody knows.
func (p *process) kept(repo imageref.Repository, dgst digest.Digest) bool {
	images, err := usage.CachedImagesOf(context.Background(), p.pods, repo)
	return err != nil || slices.ContainsFunc(images, func(image v1alpha1.CachedImage) bool { return slices.Contains(rollout.Kept(&image), dgst) })
}

// used says whether a pod uses an image of repo that is meant, as far as anybody knows.
func (p *process) used(repo imageref.Repository, meant func(imageref.Reference) bool) bool {
	return p.usedBy(repo, func(pod *corev1.Pod) bool {
		return slices.ContainsFunc(p.options.Cluster.Scope.Running(pod), func(ref imageref.Reference) bool {
			return ref.Repository == repo && meant(ref)
		})
	})
}

// usedBy says whether one of the pods that use an image of repo is a user, as far as anybody knows.
func (p *process) usedBy(repo imageref.Repository, user func(*corev1.Pod) bool) bool {
	if !p.follower.Told() {
		return true
	}
	pods, err := usage.PodsOf(context.Background(), p.pods, repo)
	if err != nil {
		return true
	}
	for i := range pods {
		if user(&pods[i]) {
			return true
		}
	}
	return false
}
