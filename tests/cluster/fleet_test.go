package cluster

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// fleet is a set of images, and the pods that use them now.
type fleet struct {
	*world
	images map[string]origin.Image // by source image
	pods   []*corev1.Pod
	made   int
}

func newFleet(t *testing.T, w *world, o *origin.Origin, repositories, tags int) *fleet {
	t.Helper()
	f := &fleet{world: w, images: map[string]origin.Image{}}
	for r := range repositories {
		for tag := range tags {
			name := fmt.Sprintf("team/app-%d:v%d", r, tag)
			f.images[process.Host+"/"+name] = o.Push(t, name, origin.RandomImage(3, 64<<10))
		}
	}
	return f
}

// add creates a pod of one or two images.
func (f *fleet) add(t *testing.T, rng *rand.Rand) {
	t.Helper()
	all := slices.Sorted(maps.Keys(f.images))
	images := []string{all[rng.IntN(len(all))]}
	if other := all[rng.IntN(len(all))]; other != images[0] {
		images = append(images, other)
	}
	f.made++
	f.pods = append(f.pods, f.pod(t, fmt.Sprintf("pod-%d", f.made), images))
}

// remove deletes one of the pods.
func (f *fleet) remove(t *testing.T, rng *rand.Rand) {
	t.Helper()
	if len(f.pods) == 0 {
		return
	}
	i := rng.IntN(len(f.pods))
	if err := f.Delete(t.Context(), f.pods[i], client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	f.pods = slices.Delete(f.pods, i, i+1)
}

// users lists the pods of each image that is used.
func (f *fleet) users() map[string][]string {
	users := map[string][]string{}
	for _, pod := range f.pods {
		for _, c := range pod.Spec.Containers {
			image := strings.TrimPrefix(c.Image, proxy+"/")
			users[image] = append(users[image], pod.Namespace+"/"+pod.Name)
		}
	}
	return users
}

// settled waits until the objects say of every image that it is stored, and by whom it is used, and of each repository that it is in force for
// just those. What is used may not be missing, and nothing may be there twice. What nobody uses any more may be there.
func (f *fleet) settled(t *testing.T) {
	t.Helper()
	wrong := ""
	defer func() {
		if wrong != "" {
			t.Log(wrong)
		}
	}()
	process.Eventually(t, "the objects to tell how things are", func() bool {
		images := f.objects(t)
		var repositories v1alpha1.RepositoryList
		if err := f.List(t.Context(), &repositories); err != nil {
			t.Fatal(err)
		}
		wrong = f.wrongImages(images) + wrongRepositories(images, repositories.Items)
		return wrong == ""
	})
}

func (f *fleet) wrongImages(images []v1alpha1.CachedImage) string {
	users, seen := f.users(), map[string]bool{}
	var b strings.Builder
	for i := range images {
		spec, s := images[i].Spec, images[i].Status
		pods, twice := users[spec.SourceImage], seen[spec.SourceImage]
		seen[spec.SourceImage] = true
		var named []string
		for _, pod := range ptr.Deref(s.UsedBy, v1alpha1.UsedBy{}).Pods {
			named = append(named, pod.NamespacedName)
		}
		slices.Sort(pods)
		switch {
		case twice:
			fmt.Fprintf(&b, "%s: %s is there twice\n", images[i].Name, spec.SourceImage)
		case s.Phase != v1alpha1.CachedImageReady || !ptr.Deref(s.IsCached, false) || s.Digest != f.images[spec.SourceImage].Digest.String():
			fmt.Fprintf(&b, "%s: %s %s, want it stored\n", spec.SourceImage, s.Phase, s.Digest)
		case !slices.Equal(named, pods):
			fmt.Fprintf(&b, "%s: used by %s, want %s\n", spec.SourceImage, named, pods)
		case (spec.ExpiresAt != nil) != (len(pods) == 0):
			fmt.Fprintf(&b, "%s: expires at %v, used by %d\n", spec.SourceImage, spec.ExpiresAt, len(pods))
		}
	}
	for image := range users {
		if !seen[image] {
			fmt.Fprintf(&b, "%s: missing\n", image)
		}
	}
	return b.String()
}

func wrongRepositories(images []v1alpha1.CachedImage, repositories []v1alpha1.Repository) string {
	count := map[string]int32{}
	for i := range images {
		name, _, _ := strings.Cut(images[i].Spec.SourceImage, ":")
		count[name]++
	}
	var b strings.Builder
	for i := range repositories {
		name, s := repositories[i].Spec.Name, repositories[i].Status
		if got := ptr.Deref(s.Images, 0); s.Phase != v1alpha1.RepositoryReady || got != count[name] {
			fmt.Fprintf(&b, "%s: %s with %d images, want Ready with %d (0: it is there twice)\n", name, s.Phase, got, count[name])
		}
		delete(count, name)
	}
	for name := range count {
		fmt.Fprintf(&b, "%s: missing\n", name)
	}
	return b.String()
}

// stored checks that all images of which there are objects can be pulled without their origin.
func (f *fleet) stored(t *testing.T, larder *process.Larder, o *origin.Origin) {
	t.Helper()
	o.Refuse()
	defer o.Heal()
	for _, image := range f.objects(t) {
		f.served(t, larder, f.images[image.Spec.SourceImage])
	}
}

func (f *fleet) objects(t *testing.T) []v1alpha1.CachedImage {
	t.Helper()
	var list v1alpha1.CachedImageList
	if err := f.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}
