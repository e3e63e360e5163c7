package trigger

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/rollout"
	"github.com/larder-dev/larder/internal/usage"
)

// target is what workloads that use a tag are to run: the revision that is current, stored whole and verified.
type target struct {
	ref      imageref.Reference
	history  []v1alpha1.Revision // the newest first: the target itself
	due      time.Time           // from when on revisions of workloads that are created run it
	resolves bool                // whether the webhook writes its digest
	onUpdate v1alpha1.OnUpdate   // the Repository's
}

// targetOf returns the target of an image; nil where there is none, or not yet.
func (r *Reconciler) targetOf(ctx context.Context, image *v1alpha1.CachedImage) (*target, error) {
	ref, err := imageref.Parse(image.Spec.SourceImage)
	if err != nil || ref.Digest != "" || len(image.Status.History) == 0 {
		return nil, nil //nolint:nilerr // the registry tells the person who wrote it
	}
	t := &target{ref: ref, history: image.Status.History}
	due, complete := rollout.Settled(t.newest())
	if !complete || image.Status.Digest != t.newest().Digest || !meta.IsStatusConditionTrue(image.Status.Conditions, v1alpha1.ConditionReady) {
		return nil, nil
	}
	t.due = due.Add(lag)
	repositories, err := usage.Repositories(ctx, r.o.Client, ref.Repository)
	if err != nil {
		return nil, err
	}
	if inForce := policy.InForce(repositories, r.o.Defaults); inForce != nil {
		t.resolves, t.onUpdate = inForce.Spec.ResolveDigests, inForce.Spec.OnUpdate
	}
	return t, nil
}

func (t *target) newest() *v1alpha1.Revision { return &t.history[0] }

// token names the target in what a workload was restarted for. A person who pins a tag, or takes a pin back, means it each time.
func (t *target) token() string {
	r := t.newest()
	if r.Cause == v1alpha1.RevisionPinned || r.Cause == v1alpha1.RevisionUnpinned {
		return r.Digest + "/" + r.FirstSeen.UTC().Format(time.RFC3339)
	}
	return r.Digest
}

// wanted says whether a workload with such annotations is to run the target: its own word goes before the Repository's.
func (t *target) wanted(annotations map[string]string) bool {
	switch annotations[v1alpha1.AnnotationOnUpdate] {
	case v1alpha1.OnUpdateWorkloadRestart:
		return true
	case v1alpha1.OnUpdateWorkloadNone:
		return false
	}
	return t.onUpdate == v1alpha1.OnUpdateRestart
}

// superseded says whether a container that runs a digest since a time runs another revision than the target. Some runtimes tell the digest
// of the platform, which is in no history: then it runs what the tag was when it started.
func (t *target) superseded(running digest.Digest, started time.Time) bool {
	for i := range t.history {
		if t.history[i].Digest == running.String() {
			return i > 0
		}
	}
	for i := range t.history {
		if !t.history[i].FirstSeen.After(started) {
			return t.history[i].Digest != t.newest().Digest
		}
	}
	return true // it is older than all that is known
}
