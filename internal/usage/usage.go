// Package usage says which images pods and workloads use, and which of them are Larder's to keep. It reads objects it is given, or a
// client's; it writes nothing, and knows nothing of what is cached.
//
// Its Index functions prepare a manager's cache, each before the cache starts; its other functions that take a reader need such a cache.
// What they list is shared with the cache and must not be changed. Slim keeps of objects what this package, and its users, read.
package usage

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

// Scope says which images of a pod Larder serves.
type Scope struct {
	Proxy string // host:port of the node's proxy in rewritten images: "localhost:7439"
	All   bool   // every image of every pod, whatever it is called: mirror mode
}

// Pod lists the images of a pod that Larder serves: of its containers, init and ephemeral containers and image volumes, each once, in
// the order of their names. A tag whose digest the webhook wrote behind it is that tag: the pod uses what its owner named. What does not
// parse is left out, and, where all images count, what a node never pulls through Larder: images with imagePullPolicy Never, and those of a
// registry on the node's own loopback.
func (s Scope) Pod(pod *corev1.Pod) []imageref.Reference {
	refs := s.Running(pod)
	tags := resolved(pod, refs)
	if len(tags) == 0 {
		return refs
	}
	for i, ref := range refs {
		if tag, ok := tags[ref]; ok {
			refs[i] = tag
		}
	}
	return unique(refs)
}

// Running is as Pod, but has the digests that the webhook wrote behind tags.
func (s Scope) Running(pod *corev1.Pod) []imageref.Reference {
	var refs []imageref.Reference
	for _, image := range imagesOf(&pod.Spec) {
		ref, rewritten, ok := s.Read(image.name)
		if ok && (rewritten || s.All && image.policy != corev1.PullNever && !isLoopback(ref.Repository.Host)) {
			refs = append(refs, ref)
		}
	}
	return unique(refs)
}

// Template lists the images that pods of a workload's template would use. Templates are not rewritten: their images count by their own
// names as by the rewritten ones, in any Scope.
func (s Scope) Template(spec *corev1.PodSpec) []imageref.Reference {
	var refs []imageref.Reference
	for _, image := range imagesOf(spec) {
		if ref, _, ok := s.Read(image.name); ok {
			refs = append(refs, ref)
		}
	}
	return unique(refs)
}

// Read reads an image as a pod names it, and says whether it is a rewritten one. What is behind the proxy and names no image is none.
func (s Scope) Read(name string) (ref imageref.Reference, rewritten, ok bool) {
	if s.Proxy != "" && strings.HasPrefix(name, s.Proxy+"/") {
		ref, ok = imageref.Invert(s.Proxy, name)
		return ref, true, ok
	}
	ref, err := imageref.Parse(name)
	return ref, false, err == nil
}

// Active says whether a pod has not finished: until then its images are in use.
func Active(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// image is what a pod says of one of its images.
type image struct {
	name   string
	policy corev1.PullPolicy
}

func imagesOf(spec *corev1.PodSpec) []image {
	var images []image
	for _, c := range spec.InitContainers {
		images = append(images, image{c.Image, c.ImagePullPolicy})
	}
	for _, c := range spec.Containers {
		images = append(images, image{c.Image, c.ImagePullPolicy})
	}
	for _, c := range spec.EphemeralContainers {
		images = append(images, image{c.Image, c.ImagePullPolicy})
	}
	for _, v := range spec.Volumes {
		if v.Image != nil {
			images = append(images, image{v.Image.Reference, v.Image.PullPolicy})
		}
	}
	return images
}

func unique(refs []imageref.Reference) []imageref.Reference {
	slices.SortFunc(refs, func(a, b imageref.Reference) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(refs)
}

// isLoopback says whether a host is a node's own: such a registry is not asked for over the wire either.
func isLoopback(host string) bool {
	name := host
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		name = host[:colon]
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || err == nil && addr.IsLoopback()
}
