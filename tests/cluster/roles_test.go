package cluster

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/tests/kube"
)

const (
	namespace  = "larder-system" // Larder's own
	registry   = "larder-registry"
	controller = "larder-controller"
)

// grant creates the roles of a process as the chart's files have them, and binds all of them to a user of its name.
func grant(t testing.TB, c *kube.Cluster, file, user string) {
	t.Helper()
	content, err := os.ReadFile("../../helm/larder/files/rbac/" + file)
	if err != nil {
		t.Fatal(err)
	}
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		role := &unstructured.Unstructured{}
		err := documents.Decode(&role.Object)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if role.GetKind() == "Role" && role.GetNamespace() == "" {
			role.SetNamespace(namespace)
		}
		create(t, c, role)
		create(t, c, binding(role, user))
	}
}

func binding(role *unstructured.Unstructured, user string) client.Object {
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: role.GetKind(), Name: role.GetName()}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	meta := metav1.ObjectMeta{Name: role.GetName(), Namespace: role.GetNamespace()}
	if role.GetKind() == "ClusterRole" {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
	}
	return &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
}

func create(t testing.TB, c client.Client, object client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
	}
}

func TestRoles_SecretsAreNeverListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for user, config := range map[string]string{registry: w.registryConfig, controller: w.controllerConfig} {
		for _, verb := range []string{"list", "watch", "create", "update", "patch", "delete"} {
			out, err := w.Kubectl(t, "auth", "can-i", verb, "secrets", "--all-namespaces", "--as", user)
			if err == nil || out != "no\n" {
				t.Errorf("may %s %s secrets? kubectl says %q (%v), want no", user, verb, out, err)
			}
		}
		out, err := w.Kubectl(t, "--kubeconfig", config, "get", "secrets", "--all-namespaces")
		if err == nil || !bytes.Contains([]byte(out), []byte("Forbidden")) {
			t.Errorf("%s lists the secrets: %q (%v), want it forbidden", user, out, err)
		}
	}
	secret := client.ObjectKey{Namespace: namespace, Name: "any"}
	if err := w.as(t, controller).Get(t.Context(), secret, &corev1.Secret{}); !apierrors.IsForbidden(err) {
		t.Errorf("the controller reads a secret: %v, want it forbidden", err)
	}
	if err := w.as(t, registry).Get(t.Context(), secret, &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("the registry reads a secret that is not there: %v, want it not found", err)
	}
}
