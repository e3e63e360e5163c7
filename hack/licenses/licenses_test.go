package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/licenseclassifier/v2/assets"
)

// written returns a module whose licence file is the known licence of that name, or that text.
func written(t *testing.T, path, licence string) module {
	t.Helper()
	content, err := assets.ReadLicenseFile("License/" + licence + "/license.txt")
	if err != nil {
		content = []byte(licence)
	}
	file := filepath.Join(t.TempDir(), "LICENSE")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return module{path: path, version: "v1.0.0", files: []string{file}}
}

func TestReport(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		module  module
		want    string
		wantErr string
	}{
		"An allowed licence":    {module: module{path: "example.com/a", version: "v1.0.0", files: []string{"../../LICENSE"}}, want: "example.com/a,v1.0.0,Apache-2.0\n"},
		"One that is not":       {module: written(t, "example.com/b", "AGPL-3.0"), wantErr: "example.com/b is under AGPL-3.0"},
		"One that nobody knows": {module: written(t, "example.com/c", "Ask us."), wantErr: "is not recognised"},
		"None":                  {module: module{path: "example.com/d"}, wantErr: "example.com/d has no licence file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := report([]module{test.module})
			if test.wantErr == "" && (err != nil || string(got) != test.want) {
				t.Errorf("report: %q, %v, want %q", got, err, test.want)
			}
			if test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
				t.Errorf("report: %v, want %q in it", err, test.wantErr)
			}
		})
	}
}

func TestLicenceFiles_FromThePackageUpToTheModule(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	inner := filepath.Join(root, "module", "inner")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"LICENSE", "module/COPYING.md", "module/license.go", "module/LICENSE.docs", "module/inner/LICENSE-MIT"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := licenceFiles(inner, filepath.Join(root, "module"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(strings.Join(files, " "), root+"/module/", "")
	if got != "inner/LICENSE-MIT COPYING.md" {
		t.Errorf("licence files: %s", got)
	}
}
