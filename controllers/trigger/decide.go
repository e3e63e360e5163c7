package trigger

import (
	"time"

	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/usage"
)

// decision is what becomes of a workload. Its zero value is: nothing.
type decision struct {
	restart  []*target                     // for these, now
	after    time.Duration                 // look again after that; 0: not because of this workload
	wouldNot map[imageref.Reference]string // reasons why a restart would not pull what was superseded
}

// decide says what becomes of a workload that uses images which have targets.
func decide(w *workload, scope usage.Scope, targets []*target, now time.Time) decision {
	d := decision{wouldNot: map[imageref.Reference]string{}}
	for _, t := range targets {
		switch {
		case !t.wanted(w.object.GetAnnotations()), now.Before(t.due), !w.runsSuperseded(scope, t):
		case w.onDelete:
			d.wouldNot[t.ref] = v1alpha1.ReasonOnDelete
		case !w.wouldPull(scope, t):
			d.wouldNot[t.ref] = v1alpha1.ReasonPullPolicy
		case !w.created.Before(t.due), w.restarts[t.token()], w.paused: // somebody rolls it already; once only; not now
		default:
			d.restart = append(d.restart, t)
		}
	}
	if wait := w.restarted().Add(w.interval()).Sub(now); wait > 0 && len(d.restart) > 0 {
		return decision{after: wait, wouldNot: d.wouldNot}
	}
	return d
}

// use is a place of a pod that names a target's image.
type use struct {
	name   string // the container's; empty: of a volume
	digest digest.Digest
	policy corev1.PullPolicy
	behind bool // the proxy
}

// uses lists the places of a pod that name an image by its tag, with or without a digest that the webhook wrote.
func uses(scope usage.Scope, spec *corev1.PodSpec, ref imageref.Reference) []use {
	var found []use
	add := func(name, image string, policy corev1.PullPolicy) {
		named, behind, ok := scope.Read(image)
		if ok && named.Repository == ref.Repository && named.Tag == ref.Tag {
			found = append(found, use{name, named.Digest, policy, behind})
		}
	}
	for _, c := range spec.InitContainers {
		add(c.Name, c.Image, c.ImagePullPolicy)
	}
	for _, c := range spec.Containers {
		add(c.Name, c.Image, c.ImagePullPolicy)
	}
	for _, v := range spec.Volumes {
		if v.Image != nil {
			add("", v.Image.Reference, v.Image.PullPolicy)
		}
	}
	return found
}

// runsSuperseded says whether a pod of the workload runs another revision than the target: by the digest that its spec names, else by what
// the runtime says. What is not running yet is about to pull what the tag is.
func (w *workload) runsSuperseded(scope usage.Scope, t *target) bool {
	for i := range w.pods {
		pod := &w.pods[i]
		for _, u := range uses(scope, &pod.Spec, t.ref) {
			if u.digest != "" {
				if u.digest.String() != t.newest().Digest {
					return true
				}
				continue
			}
			if running, started, ok := runningDigest(pod, u.name); ok && t.superseded(running, started) {
				return true
			}
		}
	}
	return false
}

// runningDigest is what the runtime says that a container runs, and since when.
func runningDigest(pod *corev1.Pod, name string) (running digest.Digest, started time.Time, ok bool) {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range statuses {
			if s := &statuses[i]; s.Name == name && s.State.Running != nil {
				return digestOf(s.ImageID), s.State.Running.StartedAt.Time, true
			}
		}
	}
	return "", time.Time{}, false
}

// wouldPull says whether pods that are made now pull the target: by its digest, or because they always ask.
func (w *workload) wouldPull(scope usage.Scope, t *target) bool {
	for _, u := range uses(scope, &w.template.Spec, t.ref) {
		if u.policy == corev1.PullAlways {
			return true
		}
		if u.policy != corev1.PullNever && t.resolves && w.rewritten(scope, t) {
			return true
		}
	}
	return false
}

// rewritten says whether the webhook rewrites the image in the workload's pods, as it did in those that run.
func (w *workload) rewritten(scope usage.Scope, t *target) bool {
	for i := range w.pods {
		for _, u := range uses(scope, &w.pods[i].Spec, t.ref) {
			if u.behind {
				return true
			}
		}
	}
	return false
}
