package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/rollout"
	"github.com/larder-dev/larder/internal/usage"
)

// DigestOptions configure Digests.
type DigestOptions struct {
	View     *View
	Live     client.Reader   // without a cache; asked for the metadata of revisions of workloads
	Defaults policy.Defaults // that Repositories inherit
	Metrics  prometheus.Registerer
	Log      logr.Logger
	Now      func() time.Time // nil: time.Now
}

// Digests says which digest is written behind a tag, where a Repository has spec.resolveDigests: the same for all pods of one revision of
// a workload, whichever replica is asked and whenever. It is safe for concurrent use.
type Digests struct {
	o        DigestOptions
	owners   *owners
	failures prometheus.Counter
}

// NewDigests returns Digests and registers their metrics.
func NewDigests(o DigestOptions) (*Digests, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Digests{o: o, owners: newOwners(o.Live), failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "larder_webhook_digest_failures_total", Help: "Tags of pods that stayed tags because nobody could say how old the pod's owner is.",
	})}
	if err := o.Metrics.Register(d.failures); err != nil {
		return nil, fmt.Errorf("registering the metrics of digests: %w", err)
	}
	return d, nil
}

// Of returns how the tags of a pod are resolved: a tag, to the digest behind it; empty where it stays a tag. It asks the API server at most
// once, and only where a tag is to be resolved.
func (d *Digests) Of(ctx context.Context, namespace string, pod *corev1.Pod) func(imageref.Reference) digest.Digest {
	p := &podDigests{Digests: d, pod: pod, namespace: namespace, known: map[imageref.Reference]digest.Digest{}}
	return func(ref imageref.Reference) digest.Digest {
		if known, ok := p.known[ref]; ok {
			return known
		}
		p.known[ref] = p.resolve(ctx, ref)
		return p.known[ref]
	}
}

// podDigests are those of one pod.
type podDigests struct {
	*Digests
	pod       *corev1.Pod
	namespace string
	known     map[imageref.Reference]digest.Digest
	created   time.Time // of the owner; zero until somebody asked
	err       error
}

func (p *podDigests) resolve(ctx context.Context, ref imageref.Reference) digest.Digest {
	if !p.o.View.resolves(ctx, ref.Repository, p.o.Defaults) {
		return ""
	}
	owner, owned := rollout.OwnerOf(p.pod)
	if owned {
		if running := p.o.View.resolved(ctx, owner, ref); running != "" {
			return running
		}
	}
	created, err := p.age(ctx, owner, owned)
	if err != nil {
		p.failures.Inc()
		p.o.Log.Error(err, "a tag of a pod was not resolved", "namespace", p.namespace, "image", ref.String())
		return ""
	}
	return rollout.Resolve(p.o.View.history(ctx, ref), created)
}

// age says when the pod's owner was created; of a pod without one that is now.
func (p *podDigests) age(ctx context.Context, owner rollout.Owner, owned bool) (time.Time, error) {
	if p.created.IsZero() && p.err == nil {
		p.created = p.o.Now()
		if owned {
			p.created, p.err = p.owners.created(ctx, p.namespace, owner)
		}
	}
	return p.created, p.err
}

// resolves says whether the Repository in force asks to resolve the tags of a repository.
func (v *View) resolves(ctx context.Context, repo imageref.Repository, defaults policy.Defaults) bool {
	if v.Check() != nil {
		return false
	}
	repositories, err := usage.Repositories(ctx, v.reader, repo)
	if err != nil {
		return false
	}
	asked := false
	for i := range repositories {
		asked = asked || repositories[i].Spec.ResolveDigests
	}
	if !asked { // as most: whether they are valid costs more
		return false
	}
	inForce := policy.InForce(repositories, defaults)
	return inForce != nil && inForce.Spec.ResolveDigests
}
