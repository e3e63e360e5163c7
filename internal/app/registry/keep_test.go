package registry

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/api/v1alpha1"
	policies "github.com/larder-dev/larder/controllers/policy"
	"github.com/larder-dev/larder/internal/app/kube"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/options/cluster"
	"github.com/larder-dev/larder/internal/options/registry"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/usage"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// pods is a cache of pods, and of CachedImages of one repository.
type pods struct {
	client.Reader
	items  []corev1.Pod
	images []v1alpha1.CachedImage
}

func (p pods) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *corev1.PodList:
		list.Items = p.items
	case *v1alpha1.CachedImageList:
		list.Items = p.images
	case *v1alpha1.RepositoryList:
	}
	return nil
}

func TestKeep_M5_NothingExpiresBeforeTheClusterIsKnown(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel() // the start is over
	p := &process{
		options: registry.Options{Cluster: cluster.Options{Scope: usage.Scope{Proxy: "localhost:7439"}}},
		pods:    kube.NewReader(ended), policies: &policy.Current{},
	}
	p.follower = policies.New(policies.Options{
		Client: p.pods, Current: p.policies, Snapshot: filepath.Join(t.TempDir(), snapshot), Log: logr.Discard(),
	})
	keep := func(name string) bool {
		ref, err := imageref.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		return p.keep(ref.Repository, ref.Tag)
	}
	if err := p.follower.Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.follower.Reconcile(t.Context(), ctrl.Request{}); err == nil {
		t.Errorf("policies are compiled although the API server told nothing")
	}
	if !keep("nginx:1") {
		t.Errorf("a tag may expire before the API server told anything")
	}
	runs, named := digest.FromString("runs"), digest.FromString("named")
	pod := corev1.Pod{
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Image: "localhost:7439/docker.io/library/nginx:1"}, {Image: "localhost:7439/docker.io/library/nginx:3@" + named.String()},
		}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{ImageID: "localhost:7439/docker.io/library/nginx@" + runs.String()}}},
	}
	p.pods.Use(pods{items: []corev1.Pod{pod}})
	if _, err := p.follower.Reconcile(t.Context(), ctrl.Request{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"nginx:1": true, "nginx:2": false} {
		if got := keep(name); got != want {
			t.Errorf("%s is kept: %v, want %v", name, got, want)
		}
	}
	nginx := imageref.Repository{Host: "docker.io", Path: "library/nginx"}
	for dgst, want := range map[digest.Digest]bool{runs: true, named: true, digest.FromString("other"): false} {
		if got := p.keepDigest(nginx, dgst); got != want {
			t.Errorf("%s is kept: %v, want %v", dgst, got, want)
		}
	}
}

// A digest is kept by a pod for which the webhook resolved a tag, and by a revision of a workload that would scale up with it.
func TestKeepDigest_M4_OfResolvedTags(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	p := &process{
		options: registry.Options{Cluster: cluster.Options{Scope: usage.Scope{Proxy: "localhost:7439"}}},
		pods:    kube.NewReader(ended), policies: &policy.Current{},
	}
	p.follower = policies.New(policies.Options{
		Client: p.pods, Current: p.policies, Snapshot: filepath.Join(t.TempDir(), snapshot), Log: logr.Discard(),
	})
	one, two, three := digest.FromString("1"), digest.FromString("2"), digest.FromString("3")
	pod := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: "localhost:7439/docker.io/library/nginx:1@" + one.String()}}}}
	pod.Annotations = map[string]string{v1alpha1.AnnotationOriginals: `{"c":"nginx:1"}`}
	image := v1alpha1.CachedImage{Spec: v1alpha1.CachedImageSpec{SourceImage: "nginx:1"}}
	image.Annotations = map[string]string{v1alpha1.AnnotationKeptDigests: two.String()}
	p.pods.Use(pods{items: []corev1.Pod{pod}, images: []v1alpha1.CachedImage{image}})
	if _, err := p.follower.Reconcile(t.Context(), ctrl.Request{}); err != nil {
		t.Fatal(err)
	}
	ref, err := imageref.Parse("nginx:1")
	if err != nil {
		t.Fatal(err)
	}
	for dgst, want := range map[digest.Digest]bool{one: true, two: true, three: false} {
		if got := p.keepDigest(ref.Repository, dgst); got != want {
			t.Errorf("%s is kept: %t, want %t", dgst, got, want)
		}
	}
	if !p.keep(ref.Repository, "1") {
		t.Error("the tag whose digest a pod uses is not kept")
	}
}
