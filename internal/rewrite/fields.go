package rewrite

import (
	"fmt"

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

// fieldsOf lists the places that a request is about. An update may not change volumes.
func fieldsOf(req Request) []field {
	var fields []field
	add := func(kind string, i int, c *corev1.Container) {
		fields = append(fields, field{name: c.Name, path: fmt.Sprintf("/spec/%s/%d/image", kind, i), image: c.Image, policy: c.ImagePullPolicy})
	}
	spec := &req.Pod.Spec
	for i := range spec.InitContainers {
		add("initContainers", i, &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		add("containers", i, &spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		c := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		add("ephemeralContainers", i, &c)
	}
	for i := range spec.Volumes {
		if source := spec.Volumes[i].Image; source != nil {
			fields = append(fields, field{name: volumeName(spec.Volumes[i].Name), path: fmt.Sprintf("/spec/volumes/%d/image/reference", i),
				image: source.Reference, policy: source.PullPolicy})
		}
	}
	if req.Old != nil {
		before := imagesByName(req.Old)
		for i, f := range fields {
			image, known := before[f.name]
			fields[i].unchanged = known && image == f.image || isVolume(f.name)
		}
	}
	return fields
}

const volumePrefix = "volume/" // no container's name has a slash

func volumeName(name string) string { return volumePrefix + name }

func isVolume(name string) bool {
	return len(name) > len(volumePrefix) && name[:len(volumePrefix)] == volumePrefix
}

func imagesByName(pod *corev1.Pod) map[string]string {
	images := map[string]string{}
	for _, f := range fieldsOf(Request{Pod: pod}) {
		images[f.name] = f.image
	}
	return images
}
