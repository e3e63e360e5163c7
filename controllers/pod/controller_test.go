package pod_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

func parse(t *testing.T, image string) imageref.Reference {
	t.Helper()
	ref, err := imageref.Parse(image)
	must(t, err)
	return ref
}

// objectsOf lists the CachedImages of an image, and the Repositories of its repository.
func objectsOf(t *testing.T, image string) ([]v1alpha1.CachedImage, []v1alpha1.Repository) {
	t.Helper()
	ref := parse(t, image)
	var images v1alpha1.CachedImageList
	must(t, cluster.List(t.Context(), &images))
	var found []v1alpha1.CachedImage
	for _, object := range images.Items {
		if parse(t, object.Spec.SourceImage) == ref {
			found = append(found, object)
		}
	}
	var repositories v1alpha1.RepositoryList
	must(t, cluster.List(t.Context(), &repositories))
	var owners []v1alpha1.Repository
	for _, object := range repositories.Items {
		if repo, err := imageref.ParseRepository(object.Spec.Name); err == nil && repo == ref.Repository {
			owners = append(owners, object)
		}
	}
	return found, owners
}

// hasOne waits until an image has one CachedImage and one Repository.
func hasOne(t *testing.T, image string) (object v1alpha1.CachedImage, owner v1alpha1.Repository) {
	t.Helper()
	eventually(t, func() error {
		images, owners := objectsOf(t, image)
		if len(images) != 1 || len(owners) != 1 {
			return fmt.Errorf("%s has %d CachedImages and %d Repositories, want one of each", image, len(images), len(owners))
		}
		object, owner = images[0], owners[0]
		return nil
	})
	return object, owner
}

const digest = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestPod_ImagesOfAllKindsHaveObjects(t *testing.T) {
	start(t)
	for i, image := range []string{
		"nginx:1.27", "nginx" + digest, "nginx:1.27" + digest, "a/b-c:1", "a-b/c:1", "app:V1", "app:v1", "reg.example:5000/app", "[fd00::1]:5000/app:1",
		"ghcr.io/an-organisation-with-a-long-name/and-a-repository-with-a-longer-name/and-an-image:and-a-tag",
	} {
		ref := parse(t, image)
		run(t, fmt.Sprintf("kind-%d", i), ref.Rewrite(scope.Proxy))
		object, owner := hasOne(t, image)
		want := v1alpha1.CachedImage{
			ObjectMeta: metav1.ObjectMeta{
				Name:       ref.ObjectName(0),
				Labels:     map[string]string{v1alpha1.LabelManagedBy: "larder", v1alpha1.LabelRepository: owner.Name},
				Finalizers: []string{v1alpha1.FinalizerUntag},
			},
			Spec: v1alpha1.CachedImageSpec{SourceImage: ref.Short()},
		}
		got := v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: object.Name, Labels: object.Labels, Finalizers: object.Finalizers}, Spec: object.Spec}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("CachedImage of %s (-want +got):\n%s", image, diff)
		}
		if owner.Name != ref.Repository.ObjectName(0) || owner.Spec.Name != ref.Repository.String() || owner.Finalizers[0] != v1alpha1.FinalizerImages {
			t.Errorf("Repository of %s is %s of %s with finalizers %q", image, owner.Name, owner.Spec.Name, owner.Finalizers)
		}
	}
}

// Two processes that both believe to lead, one of which dies in the middle and comes again, make no object twice; and once all is there,
// another asks the API server anything.
func TestPod_NoDuplicatesAndNothingToDo(t *testing.T) {
	const pods, images = 120, 40
	first, second := start(t), start(t)
	create := func(from, to int) {
		var wg sync.WaitGroup
		for i := from; i < to; i++ {
			wg.Go(func() {
				image := fmt.Sprintf("localhost:7439/docker.io/many/app-%d:%d", i%images/2, i%images)
				sidecar := "localhost:7439/docker.io/many/sidecar:1"
				run(t, fmt.Sprintf("many-%d", i), image, sidecar)
			})
		}
		wg.Wait()
	}
	create(0, pods/2)
	first.stop()
	create(pods/2, pods*3/4)
	again := start(t)
	create(pods*3/4, pods)
	hasOne(t, "many/sidecar:1")
	for i := range images {
		hasOne(t, fmt.Sprintf("many/app-%d:%d", i/2, i))
	}
	again.stop()
	second.stop()

	steady := start(t)
	for i := range 10 { // what a kubelet says all the time
		p := &corev1.Pod{}
		must(t, cluster.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: fmt.Sprintf("many-%d", i)}, p))
		p.Status.Phase = corev1.PodRunning
		must(t, cluster.Status().Update(t.Context(), p))
	}
	run(t, "many-last", "localhost:7439/docker.io/many/last:1") // when this is done, so is the rest
	hasOne(t, "many/last:1")
	ref := parse(t, "many/last:1")
	const kinds = "/apis/larder.dev/v1alpha1/"
	allowed := map[string]int{ // of what is new, once, or again before the cache knows it
		"POST " + kinds + "repositories": 2, "GET " + kinds + "repositories/" + ref.Repository.ObjectName(0): 1,
		"POST " + kinds + "cachedimages": 2, "GET " + kinds + "cachedimages/" + ref.ObjectName(0): 1,
	}
	seen := steady.requests.all()
	for _, request := range seen {
		if allowed[request]--; allowed[request] < 0 {
			t.Errorf("in the steady state: %s", request)
		}
	}
	if len(seen) == 0 {
		t.Error("the requests were not seen")
	}
}

func TestPod_ChangedPodsGetWhatIsNew(t *testing.T) {
	start(t)
	p := run(t, "changed", "localhost:7439/changed/a:1")
	hasOne(t, "changed/a:1")
	p.Spec.Containers[0].Image = "localhost:7439/changed/b:1"
	must(t, cluster.Update(t.Context(), p))
	hasOne(t, "changed/b:1")
	p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "debug", Image: "localhost:7439/changed/debug:1", TerminationMessagePolicy: corev1.TerminationMessageReadFile, ImagePullPolicy: corev1.PullIfNotPresent,
	}}}
	must(t, cluster.SubResource("ephemeralcontainers").Update(t.Context(), p))
	hasOne(t, "changed/debug:1")
}

func TestPod_FinishedPodsAndOtherImagesMakeNothing(t *testing.T) {
	p := run(t, "finished", "localhost:7439/finished/a:1")
	p.Status.Phase = corev1.PodFailed
	must(t, cluster.Status().Update(t.Context(), p))
	start(t)
	run(t, "unserved", "unserved/a:1", "localhost:5000/unserved/a:1", "localhost:7439/reg.example:5000/unserved:1", "localhost:7439/served/a:1")
	hasOne(t, "served/a:1")
	for _, image := range []string{"finished/a:1", "unserved/a:1", "localhost:5000/unserved/a:1", "reg.example:5000/unserved:1"} {
		if images, owners := objectsOf(t, image); len(images)+len(owners) > 0 {
			t.Errorf("%s has %d CachedImages and %d Repositories, want none", image, len(images), len(owners))
		}
	}
}

func TestPod_ObjectsOfPersonsAreHonoured(t *testing.T) {
	image := &v1alpha1.CachedImage{
		ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: v1alpha1.CachedImageSpec{SourceImage: "index.docker.io/person/a:1", Retain: true},
	}
	repository := &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: v1alpha1.RepositorySpec{Name: "person/a", UpdateInterval: "1h"},
	}
	must(t, cluster.Create(t.Context(), image))
	must(t, cluster.Create(t.Context(), repository))
	start(t)
	run(t, "person", "localhost:7439/docker.io/person/a:1", "localhost:7439/docker.io/person/a:2")
	object, owner := hasOne(t, "person/a:2")
	if label := object.Labels[v1alpha1.LabelRepository]; label != "mine" || owner.Spec.UpdateInterval != "1h" || owner.ResourceVersion != repository.ResourceVersion {
		t.Errorf("the Repository is labelled %q and is now %+v", label, owner)
	}
	if object, _ := hasOne(t, "person/a:1"); object.Name != "mine" || object.ResourceVersion != image.ResourceVersion {
		t.Errorf("the CachedImage is now %+v", object)
	}
}

func TestPod_DeletedObjectsComeBack(t *testing.T) {
	larder := start(t)
	p := run(t, "returns", "localhost:7439/returns/a:1")
	image, owner := hasOne(t, "returns/a:1")
	for _, object := range []client.Object{&image, &owner} {
		must(t, cluster.Delete(t.Context(), object))
		must(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object)) // its finalizer holds it
		object.SetFinalizers(nil)
		must(t, cluster.Update(t.Context(), object))
	}
	eventually(t, func() error {
		images, owners := objectsOf(t, "returns/a:1")
		if len(images) != 1 || len(owners) != 1 || images[0].UID == image.UID || owners[0].UID == owner.UID {
			return fmt.Errorf("there are %d CachedImages and %d Repositories, or those of before", len(images), len(owners))
		}
		return nil
	})
	// Once nobody uses it, it stays away.
	must(t, cluster.Delete(t.Context(), p, client.GracePeriodSeconds(0)))
	eventually(t, func() error {
		if err := larder.GetClient().Get(t.Context(), client.ObjectKeyFromObject(p), &corev1.Pod{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the controller still knows the pod: %w", err)
		}
		return nil
	})
	image, _ = hasOne(t, "returns/a:1")
	image.SetFinalizers(nil)
	must(t, cluster.Update(t.Context(), &image))
	must(t, cluster.Delete(t.Context(), &image))
	run(t, "later", "localhost:7439/returns/later:1")
	hasOne(t, "returns/later:1")
	if images, _ := objectsOf(t, "returns/a:1"); len(images) > 0 {
		t.Errorf("%s came back", images[0].Name)
	}
}

// What the webhook resolved is the tag's: there is no object for each of its digests.
func TestPod_AResolvedTagIsAUserOfTheTag(t *testing.T) {
	start(t)
	const one = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	for i, original := range []string{"resolved:1", "resolved:2@" + one} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: fmt.Sprintf("resolved-%d", i), Annotations: map[string]string{v1alpha1.AnnotationOriginals: `{"c":"` + original + `"}`},
			},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "c", Image: fmt.Sprintf("localhost:7439/docker.io/library/resolved:%d@%s", i+1, one),
			}}},
		}
		must(t, cluster.Create(t.Context(), pod))
		t.Cleanup(func() { must(t, cluster.Delete(context.Background(), pod, client.GracePeriodSeconds(0))) })
	}
	hasOne(t, "resolved:1")
	hasOne(t, "resolved:2@"+one) // which its owner wrote
	if images, _ := objectsOf(t, "resolved:1@"+one); len(images) > 0 {
		t.Errorf("the digest has an object of its own: %v", images)
	}
}
