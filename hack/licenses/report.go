package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	classifier "github.com/google/licenseclassifier/v2"
	"github.com/google/licenseclassifier/v2/assets"
)

// allowed are the licences, by SPDX, whose code may be in a binary that is given away under Apache-2.0.
var allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "Unlicense"}

// report returns the list as CSV, a line for each module: path, version, SPDX expression. Its errors name every module at fault.
func report(modules []module) ([]byte, error) {
	c, err := assets.DefaultClassifier()
	if err != nil {
		return nil, fmt.Errorf("reading the known licences: %w", err)
	}
	var list bytes.Buffer
	w := csv.NewWriter(&list)
	var problems []error
	for _, m := range modules {
		names, err := recognise(c, m)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if err := w.Write([]string{m.path, m.version, strings.Join(names, " AND ")}); err != nil {
			return nil, fmt.Errorf("writing the list: %w", err)
		}
	}
	w.Flush()
	return list.Bytes(), errors.Join(append(problems, w.Error())...)
}

// recognise returns the licences that the files of a module hold; each file must hold one at least.
func recognise(c *classifier.Classifier, m module) ([]string, error) {
	if len(m.files) == 0 {
		return nil, fmt.Errorf("%s has no licence file", m.path)
	}
	names := make(map[string]bool)
	for _, file := range m.files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading a licence: %w", err)
		}
		here := classify(c, content)
		if len(here) == 0 {
			return nil, fmt.Errorf("%s: the licence in %s is not recognised", m.path, file)
		}
		for _, name := range here {
			if !slices.Contains(allowed, name) {
				return nil, fmt.Errorf("%s is under %s (%s), which is not allowed: see allowed in hack/licenses/report.go", m.path, name, file)
			}
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func classify(c *classifier.Classifier, content []byte) []string {
	var names []string
	for _, match := range c.Match(c.Normalize(content)).Matches {
		if match.MatchType == "License" || match.MatchType == "Header" {
			names = append(names, match.Name)
		}
	}
	return names
}
