package v1alpha1

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"sigs.k8s.io/yaml"
)

// crdSchema is the part of an OpenAPI schema that Validate repeats.
type crdSchema struct {
	MaxLength   int                  `json:"maxLength"`
	MaxItems    int                  `json:"maxItems"`
	Enum        []string             `json:"enum"`
	Items       *crdSchema           `json:"items"`
	Properties  map[string]crdSchema `json:"properties"`
	Validations []struct {
		Rule    string `json:"rule"`
		Message string `json:"message"`
	} `json:"x-kubernetes-validations"`
}

func specSchema(t *testing.T, file string) crdSchema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../helm/larder/files/crds", file))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema crdSchema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
}

// says reports whether a rule has the message, and the pattern in it.
func (s crdSchema) says(message, pattern string) bool {
	for _, v := range s.Validations {
		if v.Message == message && strings.Contains(v.Rule, pattern) {
			return true
		}
	}
	return false
}

func TestSchema_AgreesWithValidate(t *testing.T) {
	t.Parallel()
	repository := specSchema(t, "larder.dev_repositories.yaml").Properties
	image := specSchema(t, "larder.dev_cachedimages.yaml").Properties
	for name, tt := range map[string]struct {
		schema    crdSchema
		message   string
		pattern   string
		maxLength int
	}{
		"spec.name":            {repository["name"], nameHint, "'^" + namePattern + "$'", maxNameLength},
		"a port of spec.name":  {repository["name"], portHint, "'^[^/]*:" + portPattern + "/'", maxNameLength},
		"a port of an image":   {image["sourceImage"], portHint, "'^[^/]*:" + portPattern + "/'", maxSourceImageLength},
		"spec.updateInterval":  {repository["updateInterval"], intervalHint, "'" + durationPattern + "'", maxDurationLength},
		"spec.maxStale":        {repository["maxStale"], durationHint, "'" + durationPattern + "'", maxDurationLength},
		"spec.updateFilters":   {*repository["updateFilters"].Items, filterHint, ".matches(self)", maxFilterLength},
		"spec.platforms":       {*repository["platforms"].Items, platformHint, "'^" + platformPattern + "$'", maxPlatformLength},
		"spec.pullSecretNames": {*repository["pullSecretNames"].Items, secretHint, ".matches(", 253},
		"spec.grantTTL":        {repository["grantTTL"], ttlHint, "'" + durationPattern + "'", maxDurationLength},
		"spec.immutableTags":   {*repository["immutableTags"].Items, filterHint, ".matches(self)", maxFilterLength},
		"spec.origin":          {repository["origin"], nameHint, "'^" + namePattern + "$'", maxNameLength},
		"spec.fallbackOrigins": {*repository["fallbackOrigins"].Items, nameHint, "'^" + namePattern + "$'", maxNameLength},
		"spec.pinnedDigest":    {image["pinnedDigest"], digestHint, "'^" + digestPattern + "$'", maxDigestLength},
		"spec.sourceImage":     {image["sourceImage"], imageHint, "'^" + imagePattern + "$'", maxSourceImageLength},
	} {
		if !tt.schema.says(tt.message, tt.pattern) {
			t.Errorf("%s: no rule with the pattern %s says %q", name, tt.pattern, tt.message)
		}
		if tt.schema.MaxLength != tt.maxLength {
			t.Errorf("%s: maxLength = %d, want %d", name, tt.schema.MaxLength, tt.maxLength)
		}
	}
	for name, want := range map[string]int{
		"updateFilters": maxFilters, "platforms": maxPlatforms, "pullSecretNames": maxPullSecretNames,
		"immutableTags": maxFilters, "fallbackOrigins": maxFallbackOrigins,
	} {
		if got := repository[name].MaxItems; got != want {
			t.Errorf("spec.%s: maxItems = %d, want %d", name, got, want)
		}
	}
}

func TestSchema_RepeatsTheRulesBetweenFields(t *testing.T) {
	t.Parallel()
	rules := specSchema(t, "larder.dev_repositories.yaml")
	for _, spec := range []RepositorySpec{
		{Name: "a", UpdateMode: UpdatePeriodic, UpdateInterval: Never},
		{Name: "a", UpdateMode: UpdatePeriodic, UpdateInterval: "59s"},
		{Name: "a", UpdateInterval: "0s", MaxStale: "0s"},
		{Name: "a", UpdateInterval: Never, MaxStale: "1h"},
		{Name: "a", UpdateInterval: "1h", MaxStale: "59m"},
	} {
		repository := Repository{Spec: spec}
		errs := repository.Validate()
		if len(errs) != 1 || !rules.says(errs[0].Detail, "duration(") && !rules.says(errs[0].Detail, "'never'") {
			t.Errorf("Validate of %+v = %v, want one error that a rule of the schema has too", spec, errs)
		}
	}
}

func TestSchema_RulesAreASCII(t *testing.T) {
	t.Parallel()
	// gofmt turns two quotes in a comment, where the rules stand, into a typographic one.
	var check func(path string, s crdSchema)
	check = func(path string, s crdSchema) {
		for _, v := range s.Validations {
			if strings.ContainsFunc(v.Rule, func(r rune) bool { return r > unicode.MaxASCII }) {
				t.Errorf("%s: rule %s", path, v.Rule)
			}
		}
		if s.Items != nil {
			check(path+"[]", *s.Items)
		}
		for name, property := range s.Properties {
			check(path+"."+name, property)
		}
	}
	for _, file := range []string{"larder.dev_repositories.yaml", "larder.dev_cachedimages.yaml"} {
		check(file+": spec", specSchema(t, file))
	}
}

func TestSchema_Choices(t *testing.T) {
	t.Parallel()
	repository := specSchema(t, "larder.dev_repositories.yaml").Properties
	for name, want := range map[string][]string{
		"updateMode": {string(UpdateOnPull), string(UpdatePeriodic)},
		"access":     {string(AccessGranted), string(AccessShared)},
		"onUpdate":   {string(OnUpdateNone), string(OnUpdateRestart)},
	} {
		if got := repository[name].Enum; !slices.Equal(got, want) {
			t.Errorf("spec.%s: enum = %q, want %q", name, got, want)
		}
	}
}

func TestSchema_EveryFieldOfTheSpecIsThere(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"larder.dev_repositories.yaml": {
			"access", "fallbackOrigins", "grantTTL", "historyLimit", "immutableTags", "maxStale", "name", "onUpdate", "origin",
			"platforms", "pullSecretNames", "resolveDigests", "updateFilters", "updateInterval", "updateMode",
		},
		"larder.dev_cachedimages.yaml": {"expiresAt", "pinnedDigest", "retain", "sourceImage"},
	} {
		if got := slices.Sorted(maps.Keys(specSchema(t, file).Properties)); !slices.Equal(got, want) {
			t.Errorf("fields of %s = %q, want %q", file, got, want)
		}
	}
}
