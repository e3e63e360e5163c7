// Package usage says which images pods and workloads use, and which of them are Larder's to keep. It reads objects it is given, or a
// client's; it writes nothing, and knows nothing of what is cached.
package usage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/imageref"
)

// Scope says which images of a pod Larder serves.
type Scope struct {
	Proxy string // host:port of the node's proxy in rewritten images: "localhost:7439"
	All   bool   // every image of every pod, whatever it is called: mirror mode
}

// Pod lists the images of a pod that Larder serves: of its containers, init and ephemeral containers and image volumes, each once, in
// the order of their names. What does not parse is left out.
func (s Scope) Pod(pod *corev1.Pod) []imageref.Reference {
	var refs []imageref.Reference
	for _, image := range imagesOf(&pod.Spec) {
		if ref, ok := s.image(image); ok {
			refs = append(refs, ref)
		}
	}
	return unique(refs)
}

// image reads an image as a pod names it.
func (s Scope) image(image string) (imageref.Reference, bool) {
	if ref, ok := imageref.Invert(s.Proxy, image); ok {
		return ref, true
	}
	if !s.All {
		return imageref.Reference{}, false
	}
	ref, err := imageref.Parse(image)
	return ref, err == nil
}

// Template lists the images that pods of a workload's template would use. Templates are not rewritten: their images count by their own
// names as by the rewritten ones.
func (s Scope) Template(spec *corev1.PodSpec) []imageref.Reference {
	all := Scope{Proxy: s.Proxy, All: true}
	return all.Pod(&corev1.Pod{Spec: *spec})
}

// Active says whether a pod has not finished: until then its images are in use.
func Active(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

func imagesOf(spec *corev1.PodSpec) []string {
	var images []string
	for _, c := range spec.InitContainers {
		images = append(images, c.Image)
	}
	for _, c := range spec.Containers {
		images = append(images, c.Image)
	}
	for _, c := range spec.EphemeralContainers {
		images = append(images, c.Image)
	}
	for _, v := range spec.Volumes {
		if v.Image != nil {
			images = append(images, v.Image.Reference)
		}
	}
	return slices.DeleteFunc(images, func(image string) bool { return image == "" })
}

func unique(refs []imageref.Reference) []imageref.Reference {
	slices.SortFunc(refs, func(a, b imageref.Reference) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(refs)
}

// The fields by which a client's cache finds pods and workloads once Index has been called.
const (
	FieldImage      = "larder.dev/image"      // full form of a reference that an active pod, or a template, uses
	FieldRepository = "larder.dev/repository" // full form of a repository of which an active pod uses an image
)

// IndexPods makes a cache find active pods by the images they use.
func IndexPods(ctx context.Context, indexer client.FieldIndexer, scope Scope) error {
	images := func(object client.Object) (keys []string) {
		if pod, ok := object.(*corev1.Pod); ok && Active(pod) {
			for _, ref := range scope.Pod(pod) {
				keys = append(keys, ref.String())
			}
		}
		return keys
	}
	repositories := func(object client.Object) (keys []string) {
		if pod, ok := object.(*corev1.Pod); ok && Active(pod) {
			for _, ref := range scope.Pod(pod) {
				keys = append(keys, ref.Repository.String())
			}
		}
		slices.Sort(keys)
		return slices.Compact(keys)
	}
	if err := indexer.IndexField(ctx, &corev1.Pod{}, FieldImage, images); err != nil {
		return fmt.Errorf("indexing pods by image: %w", err)
	}
	if err := indexer.IndexField(ctx, &corev1.Pod{}, FieldRepository, repositories); err != nil {
		return fmt.Errorf("indexing pods by repository: %w", err)
	}
	return nil
}

// PodsUsing lists the active pods that use an image, from a cache that IndexPods prepared.
func PodsUsing(ctx context.Context, reader client.Reader, ref imageref.Reference) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := reader.List(ctx, &pods, client.MatchingFields{FieldImage: ref.String()}); err != nil {
		return nil, fmt.Errorf("listing the pods that use %s: %w", ref, err)
	}
	return pods.Items, nil
}

// PodsOf lists the active pods that use an image of a repository, from a cache that IndexPods prepared.
func PodsOf(ctx context.Context, reader client.Reader, repo imageref.Repository) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := reader.List(ctx, &pods, client.MatchingFields{FieldRepository: repo.String()}); err != nil {
		return nil, fmt.Errorf("listing the pods that use %s: %w", repo, err)
	}
	return pods.Items, nil
}
