package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// populate makes Larder's namespace and a node, for the platform to mirror.
func (c *Cluster) populate(ctx context.Context) error {
	return errors.Join(
		c.make(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}),
		c.make(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: "worker", Labels: map[string]string{corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"},
		}}),
	)
}

// grant creates the roles of a file of the chart, and binds all of them to a service account.
func (c *Cluster) grant(ctx context.Context, account, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the roles of %s: %w", account, err)
	}
	for documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096); ; {
		role := &unstructured.Unstructured{}
		err := documents.Decode(&role.Object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the roles of %s: %w", account, err)
		}
		if role.GetKind() == "Role" && role.GetNamespace() == "" {
			role.SetNamespace(Namespace)
		}
		if err := errors.Join(c.make(ctx, role), c.make(ctx, binding(role, account))); err != nil {
			return err
		}
	}
}

func binding(role *unstructured.Unstructured, account string) client.Object {
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: role.GetKind(), Name: role.GetName()}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: Namespace, Name: account}}
	meta := metav1.ObjectMeta{Name: account + "-has-" + role.GetName(), Namespace: role.GetNamespace()}
	if role.GetKind() == "ClusterRole" {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
	}
	return &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
}

func (c *Cluster) make(ctx context.Context, object client.Object) error {
	if err := c.Create(ctx, object); err != nil {
		return fmt.Errorf("creating %T %s: %w", object, object.GetName(), err)
	}
	return nil
}
