package rewrite

import (
	"encoding/json"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

// wholePod stands for all of a pod in AnnotationNotRewritten.
const wholePod = "*"

// annotate writes both annotations, and removes what a copied pod brought along.
func annotate(req Request, originals map[string]string, left map[string]Reason) []jsonpatch.Operation {
	if req.Ephemeral || req.Pod.Annotations[corev1.MirrorPodAnnotationKey] != "" {
		return nil
	}
	wanted := map[string]string{}
	if len(originals) > 0 {
		wanted[AnnotationOriginals] = encode(originals)
	}
	if len(left) > 0 {
		wanted[AnnotationNotRewritten] = encode(left)
	}
	if req.Pod.Annotations == nil {
		if len(wanted) == 0 {
			return nil
		}
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", "/metadata/annotations", wanted)}
	}
	var patches []jsonpatch.Operation
	for _, key := range []string{AnnotationOriginals, AnnotationNotRewritten} {
		path := "/metadata/annotations/" + strings.ReplaceAll(key, "/", "~1")
		have, there := req.Pod.Annotations[key]
		want, wants := wanted[key]
		switch {
		case wants && have != want:
			patches = append(patches, jsonpatch.NewOperation("add", path, want))
		case !wants && there:
			patches = append(patches, jsonpatch.NewOperation("remove", path, nil))
		}
	}
	return patches
}

// encode writes a map in the order of its keys.
func encode[V ~string](m map[string]V) string {
	text, _ := json.Marshal(m) // strings always can
	return string(text)
}

// remember notes the original of an image that is pulled through Larder as it stands.
func (r *Rules) remember(originals map[string]string, pod *corev1.Pod, f field) {
	if _, ok := imageref.Invert(r.Proxy, f.image); ok {
		originals[f.name] = r.original(pod, f)
	}
}

// original is the image as it stood before it was rewritten: what the pod's annotation says, where that is the same image; else what the
// image says itself.
func (r *Rules) original(pod *corev1.Pod, f field) string {
	ref, rewritten := imageref.Invert(r.Proxy, f.image)
	if !rewritten {
		return f.image
	}
	if noted := notedOriginal(pod, f); noted != "" {
		if parsed, err := imageref.Parse(noted); err == nil && parsed == ref {
			return noted
		}
	}
	return ref.Short()
}

// notedOriginal is what a pod's annotations say of an image: ours, or kube-image-keeper's.
func notedOriginal(pod *corev1.Pod, f field) string {
	var originals map[string]string
	if json.Unmarshal([]byte(pod.Annotations[AnnotationOriginals]), &originals) == nil && originals[f.name] != "" {
		return originals[f.name]
	}
	for _, prefix := range []string{"original-image-", "original-init-image-"} {
		if noted := pod.Annotations[prefix+f.name]; noted != "" {
			return noted
		}
	}
	return ""
}

// formerly returns what an image was before somebody rewrote it for another port: the pod is a copy of one that ran under another
// configuration. Only a pod that says so itself is believed: the host may be a genuine registry.
func formerly(pod *corev1.Pod, f field, ref imageref.Reference) (imageref.Reference, bool) {
	if !onLoopback(ref.Repository.Host) {
		return imageref.Reference{}, false
	}
	noted, err := imageref.Parse(notedOriginal(pod, f))
	if err != nil {
		return imageref.Reference{}, false
	}
	inverted, ok := imageref.Invert(ref.Repository.Host, f.image)
	return noted, ok && inverted == noted
}
