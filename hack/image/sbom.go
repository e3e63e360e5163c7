package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// sbomType is the media type by which readers of SBOMs look for one among an image's referrers.
const sbomType = "application/vnd.cyclonedx+json"

// bill makes the CycloneDX document of a binary, out of what the Go tool left in it.
func (o buildOptions) bill(cmd command, binary string, licences map[string]string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("reading the build information of %s: %w", cmd.name, err)
	}
	sum, err := sha256File(binary)
	if err != nil {
		return nil, err
	}
	main := component(cdx.ComponentTypeApplication, info.Main.Path, o.version, "Apache-2.0")
	main.Name, main.Hashes = cmd.name, &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
	components := modules(info, licences)

	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: o.created.Format(time.RFC3339), Component: &main}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: references(components)}}
	var document bytes.Buffer
	if err := cdx.NewBOMEncoder(&document, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("writing the SBOM of %s: %w", cmd.name, err)
	}
	return document.Bytes(), nil
}

// modules lists the standard library and every module that has code in the binary, in the order of the build information: by path.
func modules(info *debug.BuildInfo, licences map[string]string) []cdx.Component {
	std := component(cdx.ComponentTypeLibrary, "std", strings.TrimPrefix(info.GoVersion, "go"), "BSD-3-Clause")
	list := []cdx.Component{std}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		c := component(cdx.ComponentTypeLibrary, module.Path, module.Version, licences[module.Path])
		c.Hashes = hashes(module.Sum)
		list = append(list, c)
	}
	return list
}

func component(kind cdx.ComponentType, path, version, licence string) cdx.Component {
	url := "pkg:golang/" + path + "@" + version
	c := cdx.Component{BOMRef: url, Type: kind, Name: path, Version: version, PackageURL: url}
	if licence != "" {
		c.Licenses = &cdx.Licenses{{Expression: licence}}
	}
	return c
}

// hashes returns go.sum's hash of a module ("h1:" and base64) in the form of CycloneDX.
func hashes(sum string) *[]cdx.Hash {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:"))
	if err != nil || len(raw) == 0 {
		return nil
	}
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
}

func references(components []cdx.Component) *[]string {
	refs := make([]string, 0, len(components))
	for _, c := range components {
		refs = append(refs, c.BOMRef)
	}
	return &refs
}

func sha256File(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("reading what was built: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("reading what was built: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// readLicences reads the list that make licenses writes: module, version, SPDX expression.
func readLicences(name string) (map[string]string, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the licences: %w", err)
	}
	defer file.Close()
	reader := csv.NewReader(file)
	reader.FieldsPerRecord = 3
	lines, err := reader.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading the licences: %w", err)
	}
	licences := make(map[string]string, len(lines))
	for _, line := range lines {
		licences[line[0]] = line[2]
	}
	return licences, nil
}
