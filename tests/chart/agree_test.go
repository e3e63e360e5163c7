package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/webhook"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{folder}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// By default, with object storage or with TLS, the roles are those that the tests of the processes run under.
func TestRoles_AreTheFiles(t *testing.T) {
	t.Parallel()
	all, shared := parse(t, render(t, "default")), parse(t, render(t, "s3"))
	for _, role := range []string{"larder-controller-tls"} {
		if all.find("Role", role) != nil {
			t.Errorf("%s is there by default", role)
		}
	}
	text, problem, err := try(t, "--set", "tls.enabled=true")
	if err != nil {
		t.Fatalf("%v\n%s", err, problem)
	}
	all = parse(t, text)
	var names []string
	for _, file := range []string{"controller.yaml", "registry.yaml", "cleanup.yaml"} {
		for _, want := range parse(t, read(t, "files", "rbac", file)) {
			names = append(names, want.GetKind()+" "+want.GetName())
			got := all.find(want.GetKind(), want.GetName())
			if want.GetName() == "larder-controller-triggers" { // a toggle that is off
				if got != nil {
					t.Errorf("%s is rendered by default", want.GetName())
				}
				got = parse(t, render(t, "namespaces")).find(want.GetKind(), "images-controller-triggers")
			}
			if got == nil {
				got = shared.find(want.GetKind(), want.GetName())
			}
			if got == nil {
				t.Errorf("%s %s is not rendered", want.GetKind(), want.GetName())
				continue
			}
			if diff := cmp.Diff(want.Object["rules"], got.Object["rules"]); diff != "" {
				t.Errorf("%s %s differs (-file +chart):\n%s", want.GetKind(), want.GetName(), diff)
			}
		}
	}
	for _, object := range all {
		if strings.HasSuffix(object.GetKind(), "Role") && !strings.Contains(strings.Join(names, "\n")+"\n", object.GetKind()+" "+object.GetName()+"\n") {
			t.Errorf("%s %s is in no file", object.GetKind(), object.GetName())
		}
	}
}

// Pull secrets are read in the namespaces that the registry is told of, and in Larder's own.
func TestRoles_PullSecretsInSomeNamespaces(t *testing.T) {
	t.Parallel()
	const role = "images-registry-pull-secrets"
	var bound []string
	all := parse(t, render(t, "namespaces"))
	for _, object := range all {
		if object.GetKind() == "RoleBinding" && into[rbacv1.RoleBinding](t, object).RoleRef.Name == role {
			bound = append(bound, object.GetNamespace())
		}
	}
	if diff := cmp.Diff([]string{"shop", namespace}, bound); diff != "" {
		t.Errorf("bound in (-want +got):\n%s", diff)
	}
	if all.find("ClusterRoleBinding", role) != nil {
		t.Error("they are read in the whole cluster too")
	}
}

// The webhook's configuration is what the webhook itself says it has to be, but for what the values add to the selector of pods.
func TestWebhook_IsItsOwnConfiguration(t *testing.T) {
	t.Parallel()
	for set, name := range map[string]string{"default": "larder", "namespaces": "images", "registries": "larder"} {
		all := parse(t, render(t, set))
		config := into[corev1.ConfigMap](t, all.find("ConfigMap", name+"-config"))
		path := filepath.Join(t.TempDir(), "larder.yaml")
		if err := os.WriteFile(path, []byte(config.Data["larder.yaml"]), 0o600); err != nil {
			t.Fatal(err)
		}
		rules, err := serve.ReadRules(path, true, "localhost:7439", namespace)
		if err != nil {
			t.Fatal(err)
		}
		want := webhook.Configuration(name+"-webhook", namespace, rules.IgnoredNamespaces)
		got := into[admissionregistrationv1.MutatingWebhookConfiguration](t, all.find(want.Kind, want.Name))
		if set == "namespaces" {
			selector := got.Webhooks[0].ObjectSelector
			if n := len(selector.MatchExpressions) - 1; selector.MatchLabels["images"] != "cached" || selector.MatchExpressions[n].Key != "tier" {
				t.Errorf("%s: the selector of pods is %v, want what the values add", set, selector)
			} else {
				selector.MatchLabels, selector.MatchExpressions = nil, selector.MatchExpressions[:n]
			}
		}
		if diff := cmp.Diff(want.Webhooks, got.Webhooks); diff != "" {
			t.Errorf("%s: it differs (-webhook +chart):\n%s", set, diff)
		}
	}
}

// The kinds are those of the files, and stay when Larder is uninstalled.
func TestCRDs_AreTheFiles(t *testing.T) {
	t.Parallel()
	all := parse(t, render(t, "default"))
	files, err := filepath.Glob(filepath.Join(folder, "files", "crds", "*.yaml"))
	if err != nil || len(files) != 2 {
		t.Fatalf("there are %v (%v)", files, err)
	}
	for _, path := range files {
		want := parse(t, read(t, "files", "crds", filepath.Base(path)))[0]
		got := all.find(want.GetKind(), want.GetName())
		if got == nil || got.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
			t.Errorf("%s: it is not kept", want.GetName())
			continue
		}
		if diff := cmp.Diff(want.Object["spec"], got.Object["spec"]); diff != "" {
			t.Errorf("%s differs (-file +chart):\n%s", want.GetName(), diff)
		}
	}
}

// Nodes have no secret but the token, and no access to the API server.
func TestProxy_HasNoSecretButTheToken(t *testing.T) {
	t.Parallel()
	for _, set := range sets(t) {
		pod := pods(t, parse(t, render(t, set)))["proxy"]
		if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
			t.Errorf("%s: it has a token of its service account", set)
		}
		text, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), `"secret`); n != 2 { // "secret" and "secretName" of one volume
			t.Errorf("%s: it says secret %d times: %s", set, n, text)
		}
		for _, container := range pod.Containers {
			if len(container.Ports) > 0 {
				t.Errorf("%s: %s declares ports, which keeps the next pod off its node", set, container.Name)
			}
		}
	}
}

// A node gets whom to trust, never the key of the registry's certificate; the registry gets no certificate that is still to come.
func TestTLS_TheKeyIsTheRegistrysAlone(t *testing.T) {
	t.Parallel()
	for component, pod := range pods(t, parse(t, render(t, "tls"))) {
		for _, v := range pod.Volumes {
			if v.Secret == nil || v.Secret.SecretName != "images-registry-tls" {
				continue
			}
			if component != "registry" || len(v.Secret.Items) != 2 || v.Secret.Items[0].Key != "tls.crt" || v.Secret.Items[1].Key != "tls.key" {
				t.Errorf("%s mounts %v", component, v.Secret)
			}
		}
	}
}

// One container alone is root.
func TestContainers_AreConfined(t *testing.T) {
	t.Parallel()
	for _, set := range sets(t) {
		for name, pod := range pods(t, parse(t, render(t, set))) {
			for _, c := range pod.Containers {
				s := c.SecurityContext
				if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || len(s.Capabilities.Add) > 0 || s.Privileged != nil {
					t.Errorf("%s: %s/%s may do more than it needs: %v", set, name, c.Name, s)
				}
				if root := s.RunAsUser != nil && *s.RunAsUser == 0; root != (c.Name == "hosts") {
					t.Errorf("%s: %s/%s is root: %t", set, name, c.Name, root)
				}
			}
			if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser != 65532 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: %s runs as %v", set, name, s)
			}
		}
	}
}
