package rewrite

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

// wholePod stands for all of a pod in AnnotationNotRewritten.
const wholePod = "*"

// notes are what a pod's annotations said of its images, and what they are to say.
type notes struct {
	proxy     string
	update    bool
	before    []said // the newest first
	originals map[string]string
	left      map[string]Reason
	most      int // bytes that the notes may take
}

// said is what the annotations of one version of a pod say.
type said struct {
	annotations map[string]string
	originals   map[string]string
	left        map[string]Reason
}

// notesOf reads the annotations of a request's pod, and of the old one: not every client sends annotations back.
func notesOf(proxy string, req Request) *notes {
	n := &notes{proxy: proxy, update: req.Old != nil, originals: map[string]string{}, left: map[string]Reason{}}
	for _, pod := range []*corev1.Pod{req.Pod, req.Old} {
		if pod != nil && len(pod.Annotations) > 0 {
			n.before = append(n.before, read(pod.Annotations))
		}
	}
	return n
}

// read takes annotations that are not JSON for empty: anybody may write them.
func read(annotations map[string]string) said {
	s := said{annotations: annotations}
	if json.Unmarshal([]byte(annotations[AnnotationOriginals]), &s.originals) != nil {
		s.originals = nil
	}
	if json.Unmarshal([]byte(annotations[AnnotationNotRewritten]), &s.left) != nil {
		s.left = nil
	}
	return s
}

// original is what an image was before somebody rewrote it, where an annotation says so and speaks of that image; empty otherwise.
func (n *notes) original(f field) string {
	address := n.address(f)
	ref, ok := imageref.Invert(address, f.image)
	if !ok || address != n.proxy && !rewrote(address, ref, f.image) {
		return ""
	}
	for _, s := range n.before {
		for _, noted := range []string{s.originals[f.name], s.annotations["original-image-"+f.name], s.annotations["original-init-image-"+f.name]} {
			if parsed, err := imageref.Parse(noted); noted != "" && err == nil && (parsed == ref || parsed == tagOf(ref)) {
				return noted
			}
		}
	}
	return ""
}

// tagOf is a reference without the digest that may have been written behind its tag.
func tagOf(ref imageref.Reference) imageref.Reference {
	if ref.Tag != "" {
		ref.Digest = ""
	}
	return ref
}

// address is the proxy's behind which an image may be: ours, or that of another configuration, under which the pod ran of which this one
// is a copy. What an update changes is no copy: the annotations speak of the image before.
func (n *notes) address(f field) string {
	ref, err := imageref.Parse(f.image)
	if err != nil || !onNode(ref.Repository.Host) || n.update && !f.unchanged {
		return n.proxy
	}
	return ref.Repository.Host
}

// rewrote says whether an image is written as we rewrite them, or as kube-image-keeper did. A short name behind a registry on the node is
// not: that registry may be a genuine one.
func rewrote(address string, ref imageref.Reference, image string) bool {
	host := strings.ReplaceAll(ref.Repository.Host, ":", "-")
	if host == "docker.io" {
		host = "index.docker.io"
	}
	keeper := address + "/" + host + "/" + ref.Repository.Path + strings.TrimPrefix(ref.String(), ref.Repository.String())
	return image == ref.Rewrite(address) || image == keeper
}

// keep notes again what was noted of an image that does not change.
func (n *notes) keep(f field) {
	n.leave(f, AlreadyRewritten)
	if _, ok := imageref.Invert(n.proxy, f.image); ok {
		return
	}
	for _, s := range n.before {
		for _, reason := range []Reason{s.left[f.name], s.left[wholePod]} {
			if reason.Explain() != "" {
				n.left[f.name] = reason
				return
			}
		}
	}
}

// leave notes why an image is left alone, and of one that was rewritten before what it was.
func (n *notes) leave(f field, reason Reason) {
	if original := n.original(f); original != "" {
		n.originals[f.name] = original
	}
	if reason != AlreadyRewritten {
		n.left[f.name] = reason
	}
}
