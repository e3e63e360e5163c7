// Package rollout says which revision of a tag belongs to a revision of a workload, so that all pods of one ReplicaSet, ControllerRevision
// or Job run the same image, whoever is asked and whenever. It is pure: it reads what it is given, and asks nobody.
package rollout

import (
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

// Settle is how long a revision of a tag has to be current and complete before workloads get it. Within that time everybody who decides
// has heard of it, also where the API server tells one later than another.
const Settle = time.Minute

// Resolve returns the digest that the pods of a workload's revision get for a tag: of the complete revision that was current a minute
// before the workload's was created; empty where none is known. It never changes while that revision is in the history: later ones are
// not looked at.
func Resolve(history []v1alpha1.Revision, created time.Time) digest.Digest {
	for i := range history {
		if at, complete := Settled(&history[i]); complete && !at.After(created) {
			return parse(history[i].Digest)
		}
	}
	return ""
}

// Settled says from when on revisions of workloads that are created get a revision of a tag, and whether it is complete at all.
func Settled(r *v1alpha1.Revision) (at time.Time, complete bool) {
	if r.CompleteAt == nil {
		return time.Time{}, false
	}
	at = r.FirstSeen.Time
	if r.CompleteAt.After(at) {
		at = r.CompleteAt.Time
	}
	return at.Add(Settle), true
}

// Kept lists the digests that a CachedImage's annotation keeps, for workloads of which no pod runs now.
func Kept(image *v1alpha1.CachedImage) []digest.Digest {
	var kept []digest.Digest
	for text := range strings.SplitSeq(image.Annotations[v1alpha1.AnnotationKeptDigests], ",") {
		if d := parse(text); d != "" {
			kept = append(kept, d)
		}
	}
	return kept
}

// FormatKept is what the annotation says to keep digests; empty where there are none.
func FormatKept(kept []digest.Digest) string {
	texts := make([]string, 0, len(kept))
	for _, d := range kept {
		texts = append(texts, d.String())
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), ",")
}

// parse returns an empty digest of a text that is none.
func parse(text string) digest.Digest {
	d, err := imageref.ParseDigest(text)
	if err != nil {
		return ""
	}
	return d
}
