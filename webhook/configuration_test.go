package webhook_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"github.com/larder-dev/larder/internal/rewrite"
	"github.com/larder-dev/larder/webhook"
)

// The chart's file is the configuration as it is without any setting: it changes the namespaces and adds to the selectors.
func TestConfiguration_IsTheChartsFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../helm/larder/files/webhook.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file admissionregistrationv1.MutatingWebhookConfiguration
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	rules, _ := rewrite.NewRules("localhost:7439", "larder-system", rewrite.Config{})
	want := webhook.Configuration("larder-webhook", "larder-system", rules.IgnoredNamespaces)
	if diff := cmp.Diff(want, &file); diff != "" {
		text, err := yaml.Marshal(want)
		t.Errorf("the file is another (-want +got):\n%s\nit would be (%v):\n%s", diff, err, text)
	}
}
