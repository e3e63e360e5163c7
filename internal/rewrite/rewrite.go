// Package rewrite decides which images of a pod are pulled through Larder, and says why not of the others. It is pure: a pod in (and, for
// an update, the old one), patches and reasons out. It asks no API server and no origin.
package rewrite

import (
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// Annotations that a decision puts on a pod.
const (
	// AnnotationOriginals holds, as JSON by container, the images that were rewritten as they stood before. An image volume is
	// "volume/<name>".
	AnnotationOriginals = "larder.dev/original-images"
	// AnnotationNotRewritten holds, as JSON by container, why an image was left alone; "*" stands for the whole pod.
	AnnotationNotRewritten = "larder.dev/not-rewritten"
)

// Request is a pod that is about to be created or updated.
type Request struct {
	Pod             *corev1.Pod       // with the API server's defaults
	Old             *corev1.Pod       // nil: the pod is created
	Ephemeral       bool              // the request is for pods/ephemeralcontainers, where changes of annotations are dropped
	Namespace       string            // the request's: a pod that is created may not say its own
	NamespaceLabels map[string]string // nil where they are not known
}

// Decision is what becomes of a request.
type Decision struct {
	Patches []jsonpatch.Operation // none: the pod stays as it is
	Pod     Reason                // why the whole pod is left alone; empty: each image has its own verdict
	Images  []Verdict             // in the order of the pod's fields; of an update those that it changed
}

// Verdict is what becomes of one image.
type Verdict struct {
	Container string // its name; "volume/<name>" for an image volume
	Path      string // JSON pointer to the image: "/spec/containers/0/image"
	Image     string // as it stands in the request
	Rewritten string // what it becomes; empty where it is left alone
	Reason    Reason // why it is left alone; empty where it is rewritten
}

// Decide says what becomes of a request. Applied to its own result it changes nothing.
func (r *Rules) Decide(req Request) Decision {
	if reason := r.leavesPod(req); reason != "" {
		return Decision{Pod: reason, Patches: annotate(req, nil, map[string]Reason{wholePod: reason})}
	}
	var d Decision
	originals, left := map[string]string{}, map[string]Reason{}
	changed := req.Old == nil
	for _, f := range fieldsOf(req) {
		if f.unchanged {
			r.remember(originals, req.Pod, f)
			continue
		}
		changed = true
		v := r.judge(req.Pod, f)
		d.Images = append(d.Images, v)
		switch {
		case v.Rewritten == "" && v.Reason == AlreadyRewritten:
			r.remember(originals, req.Pod, f)
		case v.Rewritten == "":
			left[f.name] = v.Reason
		default:
			originals[f.name] = r.original(req.Pod, f)
			d.Patches = append(d.Patches, jsonpatch.NewOperation("replace", f.path, v.Rewritten))
		}
	}
	if changed {
		d.Patches = append(d.Patches, annotate(req, originals, left)...)
	}
	return d
}
