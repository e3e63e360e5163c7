package cluster

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/kube"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// proxy is what the images of pods begin with.
const proxy = "localhost:7439"

// world is a cluster in which Larder may do what its roles say.
type world struct {
	*kube.Cluster
	registryConfig, controllerConfig string // kubeconfig files
	users                            map[string]*rest.Config
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldIn(t, kube.New(t))
}

func newWorldIn(t testing.TB, c *kube.Cluster) *world {
	t.Helper()
	w := &world{Cluster: c, users: map[string]*rest.Config{}}
	create(t, w, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	grant(t, w.Cluster, "registry.yaml", registry)
	grant(t, w.Cluster, "controller.yaml", controller)
	w.registryConfig, w.users[registry] = w.User(t, registry)
	w.controllerConfig, w.users[controller] = w.User(t, controller)
	create(t, w, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "worker", Labels: map[string]string{corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}},
	})
	return w
}

// as returns a client that may do what a process may.
func (w *world) as(t testing.TB, user string) client.Client {
	t.Helper()
	c, err := client.New(w.users[user], client.Options{Scheme: kube.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newRegistry returns a larder registry that is not started yet.
func (w *world) newRegistry(t testing.TB, o *origin.Origin, flags ...string) *process.Larder {
	return w.checked(t, process.NewRegistry(t, o, append(flags, "--kubeconfig", w.registryConfig, "--namespace", namespace)...))
}

// newController returns a larder controller that is not started yet.
func (w *world) newController(t testing.TB, flags ...string) *process.Larder {
	return w.checked(t, process.NewController(t, append(flags, "--kubeconfig", w.controllerConfig, "--namespace", namespace)...))
}

// checked has the test fail where the process tries what its roles do not allow.
func (w *world) checked(t testing.TB, l *process.Larder) *process.Larder {
	t.Cleanup(func() {
		said := l.Said()
		if strings.Contains(strings.ToLower(said), "forbidden") || strings.Contains(said, "may not read") {
			t.Errorf("it tried what it may not do:\n%s", said)
		}
	})
	return l
}

// pod creates a pod on the node that uses images of Larder, with pull secrets of its namespace.
func (w *world) pod(t testing.TB, name string, images []string, secrets ...string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{NodeName: "worker"}}
	for i, image := range images {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: proxy + "/" + image})
	}
	for _, secret := range secrets {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
	}
	create(t, w, pod)
	return pod
}

// pullSecret creates a secret in default with which a user pulls from the origin.
func (w *world) pullSecret(t testing.TB, name string, user origin.User) {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(user.Name + ":" + user.Password))
	create(t, w, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Type:       corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, process.Host, auth)},
	})
}

// image returns the one CachedImage of a source image; nil while there is none.
func (w *world) image(t testing.TB, source string) *v1alpha1.CachedImage {
	t.Helper()
	var list v1alpha1.CachedImageList
	if err := w.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	var found *v1alpha1.CachedImage
	for i := range list.Items {
		if list.Items[i].Spec.SourceImage != source {
			continue
		}
		if found != nil {
			t.Fatalf("both %s and %s are of %s", found.Name, list.Items[i].Name, source)
		}
		found = &list.Items[i]
	}
	return found
}

// awaitReady waits until an image is stored, and returns its object.
func (w *world) awaitReady(t testing.TB, source string) *v1alpha1.CachedImage {
	t.Helper()
	var found *v1alpha1.CachedImage
	process.Eventually(t, source+" to be Ready", func() bool {
		found = w.image(t, source)
		return found != nil && found.Status.Phase == v1alpha1.CachedImageReady
	})
	return found
}

func repository(name string, spec v1alpha1.RepositorySpec) *v1alpha1.Repository {
	return &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
}
