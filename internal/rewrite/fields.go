package rewrite

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// field is a place in a pod that names an image.
type field struct {
	name      string // the container's; "volume/<name>"
	path      string // JSON pointer
	image     string
	policy    corev1.PullPolicy
	unchanged bool // by this update
}

// ephemeralPath is how the paths of images of ephemeral containers begin.
const ephemeralPath = "/spec/ephemeralContainers/"

// volumePrefix sets volumes apart: no container's name has a slash.
const volumePrefix = "volume/"

// fieldsOf lists the places that a request is about. No update may change a volume.
func fieldsOf(req Request) []field {
	fields := imagesOf(req.Pod, req.Ephemeral)
	if req.Old == nil {
		return fields
	}
	before := map[string]string{}
	for _, f := range imagesOf(req.Old, req.Ephemeral) {
		before[f.name] = f.image
	}
	for i, f := range fields {
		image, known := before[f.name]
		fields[i].unchanged = known && image == f.image || strings.HasPrefix(f.name, volumePrefix)
	}
	return fields
}

// imagesOf lists all images of a pod, or those of its ephemeral containers.
func imagesOf(pod *corev1.Pod, ephemeral bool) []field {
	var fields []field
	add := func(kind string, i int, name, image string, policy corev1.PullPolicy) {
		fields = append(fields, field{name: name, path: fmt.Sprintf("/spec/%s/%d/image", kind, i), image: image, policy: policy})
	}
	if !ephemeral {
		for i, c := range pod.Spec.InitContainers {
			add("initContainers", i, c.Name, c.Image, c.ImagePullPolicy)
		}
		for i, c := range pod.Spec.Containers {
			add("containers", i, c.Name, c.Image, c.ImagePullPolicy)
		}
	}
	for i, c := range pod.Spec.EphemeralContainers {
		add("ephemeralContainers", i, c.Name, c.Image, c.ImagePullPolicy)
	}
	if ephemeral {
		return fields
	}
	for i, v := range pod.Spec.Volumes {
		if v.Image != nil {
			add("volumes", i, volumePrefix+v.Name, v.Image.Reference, v.Image.PullPolicy)
			fields[len(fields)-1].path = fmt.Sprintf("/spec/volumes/%d/image/reference", i)
		}
	}
	return fields
}
