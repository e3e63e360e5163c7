package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
)

func TestBill_ListsTheModulesOfTheBinary(t *testing.T) {
	t.Parallel()
	const path = "github.com/google/go-containerregistry"
	binary, err := os.Executable() // the test is a binary with modules in it
	if err != nil {
		t.Fatal(err)
	}
	raw, err := options(t).bill(command{name: "larder"}, binary, map[string]string{path: "Apache-2.0"})
	if err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(raw), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]cdx.Component)
	for _, c := range *bom.Components {
		byName[c.Name] = c
	}
	version := required(t, path)
	got := byName[path]
	if diff := cmp.Diff([]string{version, "pkg:golang/" + path + "@" + version}, []string{got.Version, got.PackageURL}); diff != "" {
		t.Errorf("%s in the SBOM (-want +got):\n%s", path, diff)
	}
	if got.Licenses == nil || (*got.Licenses)[0].Expression != "Apache-2.0" || got.Hashes == nil {
		t.Errorf("%s in the SBOM has licences %v and hashes %v", path, got.Licenses, got.Hashes)
	}
	if byName["std"].Version == "" {
		t.Error("the SBOM does not name the standard library")
	}
	if _, ok := byName["k8s.io/api"]; ok {
		t.Error("the SBOM names k8s.io/api, which is not in this binary")
	}
}

// required returns the version of a module that go.mod asks for.
func required(t *testing.T, path string) string {
	t.Helper()
	found := regexp.MustCompile(regexp.QuoteMeta(path) + ` (v\S+)`).FindSubmatch(read(t, "../..", "go.mod"))
	if found == nil {
		t.Fatalf("go.mod does not require %s", path)
	}
	return string(found[1])
}
