package api_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const root = "../.."

type schema = apiextensions.JSONSchemaProps

// objectOf returns the schema of a kind, from the file of its CustomResourceDefinition.
func objectOf(t *testing.T, file string) schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "helm/larder/files/crds", file))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensions.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		t.Fatal(err)
	}
	return *crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

func specOf(t *testing.T, file string) schema { return objectOf(t, file).Properties["spec"] }

// messages lists what the rules of a schema say, and of the schemas in it.
func messages(s schema) []string {
	var all []string
	for _, rule := range s.XValidations {
		all = append(all, rule.Message)
	}
	if s.Items != nil {
		all = append(all, messages(*s.Items.Schema)...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		all = append(all, messages(s.Properties[name])...)
	}
	return all
}
