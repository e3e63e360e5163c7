package chart

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/larder-dev/larder/tests/kube"
)

// others are the kinds of others that the chart makes objects of.
var others = []struct{ group, version, kind, plural string }{
	{"cert-manager.io", "v1", "Certificate", "certificates"},
	{"cert-manager.io", "v1", "Issuer", "issuers"},
	{"monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"},
	{"monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"},
}

// The API server itself takes every value set, and every field of it.
func TestApply_DryRunAtTheAPIServer(t *testing.T) {
	t.Parallel()
	cluster := kube.New(t)
	installOthers(t, cluster)
	for _, name := range []string{namespace, "shop"} {
		if err := cluster.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, set := range sets(t) {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "chart.yaml")
			if err := os.WriteFile(path, []byte(render(t, set)), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := cluster.Kubectl(t, "apply", "--server-side", "--dry-run=server", "--force-conflicts", "--validate=strict", "--filename", path)
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// installOthers installs those kinds, without their schemas.
func installOthers(t *testing.T, cluster *kube.Cluster) {
	t.Helper()
	var crds []*apiextensionsv1.CustomResourceDefinition
	for _, o := range others {
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: o.plural + "." + o.group}}
		crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
			Group: o.group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: o.kind, Plural: o.plural},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: o.version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{
					OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: new(true)},
				},
			}},
		}
		crds = append(crds, crd)
	}
	if _, err := envtest.InstallCRDs(cluster.Config, envtest.CRDInstallOptions{CRDs: crds}); err != nil {
		t.Fatal(err)
	}
}
