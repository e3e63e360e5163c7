package usage

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

// Digests lists the digests that the containers of a pod run, as its node says: of a manifest or of an index, whatever the pod calls its
// images. What a node says in another form is left out.
func Digests(pod *corev1.Pod) []digest.Digest {
	var digests []digest.Digest
	for _, status := range statusesOf(pod) {
		_, text, _ := strings.Cut(status.ImageID, "@")
		if dgst, err := imageref.ParseDigest(text); err == nil && !slices.Contains(digests, dgst) {
			digests = append(digests, dgst)
		}
	}
	return digests
}

func statusesOf(pod *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses)
}

// slimStatuses keeps what Digests reads.
func slimStatuses(pod *corev1.Pod) []corev1.ContainerStatus {
	var slim []corev1.ContainerStatus
	for _, status := range statusesOf(pod) {
		if status.ImageID != "" {
			slim = append(slim, corev1.ContainerStatus{ImageID: status.ImageID})
		}
	}
	return slim
}
