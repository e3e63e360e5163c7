// Package rewrite decides which images of a pod are pulled through Larder, and says why not of the others. It is pure: a pod in (and, for
// an update, the old one), patches and reasons out. It asks no API server and no origin.
package rewrite

import (
	"cmp"
	"slices"

	"github.com/opencontainers/go-digest"
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

// Annotations that a decision puts on a pod.
const (
	// AnnotationOriginals holds, as JSON by container, the images that were rewritten as they stood before; of one that named the proxy
	// itself, what it stands for. An image volume is "volume/<name>".
	AnnotationOriginals = v1alpha1.AnnotationOriginals
	// AnnotationNotRewritten holds, as JSON by container, why an image was left alone; "*" stands for the whole pod.
	AnnotationNotRewritten = "larder.dev/not-rewritten"
)

// Request is a pod that is about to be created or updated.
type Request struct {
	Pod             *corev1.Pod       // an unset pull policy is what the API server would make of it
	Old             *corev1.Pod       // nil: the pod is created
	Ephemeral       bool              // the request is for pods/ephemeralcontainers, where all other changes are dropped
	Namespace       string            // the request's: a pod that is created may not say its own
	NamespaceLabels map[string]string // nil where they are not known
	// Digest returns what is written behind a tag; empty: nothing is. Nil: never anything. It says the same of a tag for as long as the
	// request is looked at.
	Digest func(imageref.Reference) digest.Digest
}

// Decision is what becomes of a request. Of an update that changes no image it is empty.
type Decision struct {
	Patches []jsonpatch.Operation // none: the pod stays as it is
	Pod     Reason                // why the whole pod is left alone, with all its images; empty: each image has its own verdict
	Images  []Verdict             // in the order of the pod's fields; of an update those that it changed
}

// Verdict is what becomes of one image.
type Verdict struct {
	Container string        // its name; "volume/<name>" for an image volume
	Path      string        // JSON pointer to the image: "/spec/containers/0/image"
	Image     string        // as it stands in the request
	Rewritten string        // what it becomes; empty where it is left alone
	Reason    Reason        // why it is left alone; empty where it is rewritten
	Digest    digest.Digest // what was written behind its tag; empty: nothing was
}

// Decide says what becomes of a request. Applied to its own result it changes nothing. It never makes an API server refuse a pod that
// it would have taken.
func (r *Rules) Decide(req Request) Decision {
	fields := fieldsOf(req)
	if req.Old != nil && !slices.ContainsFunc(fields, func(f field) bool { return !f.unchanged }) {
		return Decision{}
	}
	d := Decision{Pod: r.leavesPod(req)}
	n := notesOf(r.Proxy, req)
	for _, f := range fields {
		if f.unchanged {
			n.keep(f)
			n.expect(f, f.image)
			continue
		}
		v := Verdict{Container: f.name, Path: f.path, Image: f.image, Reason: d.Pod}
		original := f.image
		if d.Pod == "" {
			original = r.judge(req, n, f, &v)
		}
		d.Images = append(d.Images, v)
		n.expect(f, cmp.Or(v.Rewritten, f.image))
		if v.Rewritten == "" {
			n.leave(f, v.Reason)
			continue
		}
		n.originals[f.name] = original
		d.Patches = append(d.Patches, jsonpatch.NewOperation("replace", f.path, v.Rewritten))
	}
	if d.Pod != "" {
		n.left = map[string]Reason{wholePod: d.Pod}
	}
	if d.Pod != MirrorPod && d.Pod != TooLarge && !req.Ephemeral {
		d.Patches = append(d.Patches, n.patches(req.Pod.Annotations)...)
	}
	return d
}
