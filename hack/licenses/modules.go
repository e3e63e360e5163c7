package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is one that has code in a binary.
type module struct {
	path, version string
	files         []string // its licence files, those of the folders of the used packages too
}

// platforms are those of the images.
var platforms = []string{"amd64", "arm64"}

// pkg is what go list tells of a package.
type pkg struct {
	Dir    string
	Module *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// modules lists the modules of all commands below source/cmd, by path.
func modules(ctx context.Context, source string) ([]module, error) {
	found := make(map[string]module)
	for _, arch := range platforms {
		packages, err := list(ctx, source, arch)
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			if p.Module == nil || p.Module.Main { // the standard library has no module
				continue
			}
			m := found[p.Module.Path]
			m.path, m.version = p.Module.Path, p.Module.Version
			files, err := licenceFiles(p.Dir, p.Module.Dir)
			if err != nil {
				return nil, fmt.Errorf("reading the folders of %s: %w", m.path, err)
			}
			m.files = append(m.files, files...)
			found[m.path] = m
		}
	}
	sorted := make([]module, 0, len(found))
	for _, path := range slices.Sorted(maps.Keys(found)) {
		m := found[path]
		slices.Sort(m.files)
		m.files = slices.Compact(m.files)
		sorted = append(sorted, m)
	}
	return sorted, nil
}

func list(ctx context.Context, source, arch string) ([]pkg, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Module", "./cmd/...")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=", "GOWORK=off")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the packages of %s: %w\n%s", source, err, &complaints)
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("reading what go list says: %w", err)
		}
		packages = append(packages, p)
	}
}

var licenceName = regexp.MustCompile(`(?i)^(un)?(licen[sc]e|copying)([-.].*)?$`)

// notCode are the endings of files that are named like a licence, but do not say under which one the code is.
var notCode = []string{".go", ".docs"}

// licenceFiles returns the licence files from a package's folder up to its module's.
func licenceFiles(dir, root string) ([]string, error) {
	var files []string
	for ; strings.HasPrefix(dir, root); dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.Type().IsRegular() && licenceName.MatchString(entry.Name()) && !slices.Contains(notCode, filepath.Ext(entry.Name())) {
				files = append(files, filepath.Join(dir, entry.Name()))
			}
		}
	}
	return files, nil
}
