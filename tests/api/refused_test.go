package api_test

import (
	"strings"
	"testing"
)

const (
	sayImage     = "write an image as a pod names it, its repository in lower case, such as postgres:15 or reg.example:5000/team/app@sha256:<64 hex digits>"
	sayName      = "write a repository in lower case, without tag or digest, such as docker.io/library/postgres or reg.example:5000/team/app"
	sayPort      = "write a port from 1 to 65535"
	sayInterval  = "write a duration such as 1h, 90m or 1h30m, 0s (at every pull), or never"
	sayDuration  = "write a duration such as 24h, 90m or 1h30m"
	sayFilter    = "write a regular expression in RE2 syntax, such as ':15$' or 'latest'"
	sayPlatform  = "write os/architecture or os/architecture/variant, such as linux/amd64 or linux/arm64/v8"
	saySecret    = "write the name of a Secret in Larder's namespace, of lower-case letters, digits, dashes and periods"
	sayPeriodic  = "write at least 1m, or leave updateMode out to check when the tag is pulled"
	sayNoPeriod  = "updateMode Periodic needs an interval: write a duration of at least 1m, or leave updateMode out"
	sayShort     = "shorter than updateInterval, within which a copy is not checked: write at least updateInterval"
	sayNever     = "a tag that is never checked cannot become stale: set updateInterval to a duration, or leave maxStale out"
	sayEmpty     = "empty: write a regular expression in RE2 syntax, such as ':15$' or 'latest', or leave the list out"
	sayDigest    = "write a digest such as sha256:<64 hex digits>"
	sayPinned    = "sourceImage has a digest already: pin an image that is named by tag alone, or leave pinnedDigest out"
	sayTTL       = "write a duration above 0s, or leave grantTTL out to keep what an origin allowed"
	sayAboveZero = "write a duration above 0s, or leave maxStale out to serve a copy for as long as its origin does not answer"
)

// refusals are bad specs of each kind, the field that kubectl names, and what it says to write.
var refusals = map[string]map[string]struct{ spec, field, advice string }{
	"CachedImage": {
		"No image":                   {`{}`, "spec.sourceImage", "Required value"},
		"An image of null":           {`{sourceImage: null}`, "spec.sourceImage", "Required value"},
		"An empty image":             {`{sourceImage: ""}`, "spec.sourceImage", sayImage},
		"An image that is no text":   {`{sourceImage: 15}`, "spec.sourceImage", "must be of type string"},
		"A URL":                      {`{sourceImage: "https://docker.io/postgres:15"}`, "spec.sourceImage", sayImage},
		"An image in capitals":       {`{sourceImage: "docker.io/Postgres"}`, "spec.sourceImage", sayImage},
		"Two tags":                   {`{sourceImage: "postgres:15:16"}`, "spec.sourceImage", sayImage},
		"A short digest":             {`{sourceImage: "postgres@sha256:abc"}`, "spec.sourceImage", sayImage},
		"A space":                    {`{sourceImage: "postgres:15 "}`, "spec.sourceImage", sayImage},
		"A port that none can have":  {`{sourceImage: "reg.example:70000/a"}`, "spec.sourceImage", sayPort},
		"Too long an image":          {`{sourceImage: ` + strings.Repeat("a", 801) + `}`, "spec.sourceImage", "may not be more than 800 bytes"},
		"A pin that is a tag":        {`{sourceImage: postgres, pinnedDigest: "15"}`, "spec.pinnedDigest", sayDigest},
		"A pin of a digest":          {`{sourceImage: "postgres@sha256:` + strings.Repeat("a", 64) + `", pinnedDigest: "sha256:` + strings.Repeat("b", 64) + `"}`, "spec.pinnedDigest", sayPinned},
		"Retain that is no boolean":  {`{sourceImage: postgres, retain: "yes"}`, "spec.retain", "must be of type boolean"},
		"An expiry that is no time":  {`{sourceImage: postgres, expiresAt: tomorrow}`, "spec.expiresAt", "must be of type date-time"},
		"An expiry without a time":   {`{sourceImage: postgres, expiresAt: "2026-01-31"}`, "spec.expiresAt", "must be of type date-time"},
		"A field that is misspelled": {`{sourceImage: postgres, retian: true}`, "spec.retian", "unknown field"},
		"A field of a pod":           {`{image: postgres}`, "spec.image", "unknown field"},
	},
	"Repository": {
		"No name":                    {`{}`, "spec.name", "Required value"},
		"An empty name":              {`{name: ""}`, "spec.name", sayName},
		"A name with a tag":          {`{name: "postgres:15"}`, "spec.name", sayName},
		"A name with a digest":       {`{name: "postgres@sha256:abc"}`, "spec.name", sayName},
		"A name in capitals":         {`{name: docker.io/Postgres}`, "spec.name", sayName},
		"A URL":                      {`{name: "https://reg.example/app"}`, "spec.name", sayName},
		"A port that none can have":  {`{name: "reg.example:70000/a"}`, "spec.name", sayPort},
		"A pattern for a name":       {`{name: "docker.io/*"}`, "spec.name", sayName},
		"Too long a name":            {`{name: ` + strings.Repeat("a", 513) + `}`, "spec.name", "may not be more than 512 bytes"},
		"A number of seconds":        {`{name: a, updateInterval: 60}`, "spec.updateInterval", "must be of type string"},
		"A number in quotes":         {`{name: a, updateInterval: "60"}`, "spec.updateInterval", sayInterval},
		"Days":                       {`{name: a, updateInterval: 1d}`, "spec.updateInterval", sayInterval},
		"A negative interval":        {`{name: a, updateInterval: -1h}`, "spec.updateInterval", sayInterval},
		"Never in capitals":          {`{name: a, updateInterval: Never}`, "spec.updateInterval", sayInterval},
		"Too long an interval":       {`{name: a, updateInterval: 1h1m1s1ms1h1m1s1ms}`, "spec.updateInterval", "may not be more than 16 bytes"},
		"A filter that is no list":   {`{name: a, updateFilters: latest}`, "spec.updateFilters", "must be of type array"},
		"A filter that is open":      {`{name: a, updateFilters: [latest, "("]}`, "spec.updateFilters[1]", sayFilter},
		"A filter of Perl":           {`{name: a, updateFilters: ["(?!x)"]}`, "spec.updateFilters[0]", sayFilter},
		"A filter of a shell":        {`{name: a, updateFilters: ["*"]}`, "spec.updateFilters[0]", sayFilter},
		"An empty filter":            {`{name: a, updateFilters: [""]}`, "spec.updateFilters[0]", sayEmpty},
		"Too long a filter":          {`{name: a, updateFilters: [` + strings.Repeat("a", 257) + `]}`, "spec.updateFilters[0]", "may not be more than 256 bytes"},
		"Too many filters":           {`{name: a, updateFilters: [` + strings.Repeat("a,", 64) + `a]}`, "spec.updateFilters", "must have at most 64 items"},
		"A mode that is none":        {`{name: a, updateMode: Always}`, "spec.updateMode", `supported values: "OnPull", "Periodic"`},
		"Periodic and too often":     {`{name: a, updateMode: Periodic, updateInterval: 59s}`, "spec.updateInterval", sayPeriodic},
		"Periodic at every pull":     {`{name: a, updateMode: Periodic, updateInterval: 0s}`, "spec.updateInterval", sayPeriodic},
		"Periodic and never":         {`{name: a, updateMode: Periodic, updateInterval: never}`, "spec.updateInterval", sayNoPeriod},
		"A maxStale in days":         {`{name: a, maxStale: 7d}`, "spec.maxStale", sayDuration},
		"A maxStale of never":        {`{name: a, maxStale: never}`, "spec.maxStale", sayDuration},
		"A maxStale of nothing":      {`{name: a, maxStale: 0s}`, "spec.maxStale", sayAboveZero},
		"A maxStale that is short":   {`{name: a, maxStale: 59m, updateInterval: 1h}`, "spec.maxStale", sayShort},
		"A maxStale without checks":  {`{name: a, maxStale: 1h, updateInterval: never}`, "spec.maxStale", sayNever},
		"Too long a maxStale":        {`{name: a, maxStale: 1h1m1s1ms1h1m1s1ms}`, "spec.maxStale", "may not be more than 16 bytes"},
		"A platform without system":  {`{name: a, platforms: [amd64]}`, "spec.platforms[0]", sayPlatform},
		"A platform with a colon":    {`{name: a, platforms: ["linux:amd64"]}`, "spec.platforms[0]", sayPlatform},
		"A platform twice":           {`{name: a, platforms: [linux/amd64, linux/amd64]}`, "spec.platforms[1]", "Duplicate value"},
		"Too long a platform":        {`{name: a, platforms: [linux/` + strings.Repeat("a", 59) + `]}`, "spec.platforms[0]", "may not be more than 64 bytes"},
		"Too many platforms":         {`{name: a, platforms: [a/1` + strings.Repeat(",a/b", 32) + `]}`, "spec.platforms", "must have at most 32 items"},
		"A secret in capitals":       {`{name: a, pullSecretNames: [Hub]}`, "spec.pullSecretNames[0]", saySecret},
		"A secret with namespace":    {`{name: a, pullSecretNames: [kube-system/hub]}`, "spec.pullSecretNames[0]", saySecret},
		"An empty secret":            {`{name: a, pullSecretNames: [""]}`, "spec.pullSecretNames[0]", saySecret},
		"A secret as an object":      {`{name: a, pullSecretNames: [{name: hub}]}`, "spec.pullSecretNames[0].name", "unknown field"},
		"A secret twice":             {`{name: a, pullSecretNames: [hub, hub]}`, "spec.pullSecretNames[1]", "Duplicate value"},
		"Too long a secret":          {`{name: a, pullSecretNames: [` + strings.Repeat("a", 254) + `]}`, "spec.pullSecretNames[0]", "may not be more than 253 bytes"},
		"Too many secrets":           {`{name: a, pullSecretNames: [a` + strings.Repeat(",b", 16) + `]}`, "spec.pullSecretNames", "must have at most 16 items"},
		"An access that is none":     {`{name: a, access: Public}`, "spec.access", `supported values: "Granted", "Shared"`},
		"A grant for no time":        {`{name: a, grantTTL: 0s}`, "spec.grantTTL", sayTTL},
		"Immutable and not RE2":      {`{name: a, immutableTags: ["(?!x)"]}`, "spec.immutableTags[0]", sayFilter},
		"Immutable and empty":        {`{name: a, immutableTags: [""]}`, "spec.immutableTags[0]", sayEmpty},
		"An origin with a tag":       {`{name: a, origin: "reg.example/app:1"}`, "spec.origin", sayName},
		"A fallback with a bad port": {`{name: a, fallbackOrigins: ["reg.example:70000/app"]}`, "spec.fallbackOrigins[0]", sayPort},
		"No history":                 {`{name: a, historyLimit: 0}`, "spec.historyLimit", "should be greater than or equal to 1"},
		"An update that is none":     {`{name: a, onUpdate: restart}`, "spec.onUpdate", `supported values: "None", "Restart"`},
		"A field that is misspelled": {`{name: a, updateIntervall: 1h}`, "spec.updateIntervall", "unknown field"},
	},
}

func TestApply_RefusesAndSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	for kind, table := range refusals {
		for name, tt := range table {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				out, err := apply(t, manifest(kind, "refused", tt.spec))
				if err == nil || !strings.Contains(out, tt.field) || !strings.Contains(out, tt.advice) {
					t.Errorf("kubectl says %q (%v), want %s and %q", out, err, tt.field, tt.advice)
				}
			})
		}
	}
}

func TestApply_RefusesAnObjectWithoutASpec(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Repository", "CachedImage"} {
		out, err := apply(t, "apiVersion: larder.dev/v1alpha1\nkind: "+kind+"\nmetadata: {name: no-spec}\n")
		if err == nil || !strings.Contains(out, "spec: Required value") {
			t.Errorf("kubectl says %q (%v), want that the spec is required", out, err)
		}
	}
}

// Every rule of the schemas has a row above: what it says is said to somebody.
func TestApply_EveryRuleIsRefused(t *testing.T) {
	t.Parallel()
	var advice strings.Builder
	for _, table := range refusals {
		for _, tt := range table {
			advice.WriteString(tt.advice + "\n")
		}
	}
	advice.WriteString(sayOtherImage + "\n" + sayOtherName + "\n")
	for _, file := range []string{"larder.dev_repositories.yaml", "larder.dev_cachedimages.yaml"} {
		for _, message := range messages(specOf(t, file)) {
			said := false
			for line := range strings.Lines(advice.String()) {
				said = said || strings.Contains(message, strings.TrimSpace(line))
			}
			if !said {
				t.Errorf("%s: no bad object is told %q", file, message)
			}
		}
	}
}

func TestApply_WarnsOfAnUnknownFieldWhereAskedTo(t *testing.T) {
	t.Parallel()
	out, err := apply(t, manifest("CachedImage", "warned", "{sourceImage: postgres, retian: true}"), "--validate=warn", "--dry-run=server")
	if err != nil || !strings.Contains(out, `Warning: unknown field "spec.retian"`) {
		t.Errorf("kubectl says %q (%v), want a warning", out, err)
	}
}

const (
	sayOtherImage = "sourceImage cannot be changed: create another CachedImage for another image"
	sayOtherName  = "name cannot be changed: create another Repository for another name"
)

func TestApply_WhatIdentifiesAnObjectCannotBeChanged(t *testing.T) {
	t.Parallel()
	for kind, tt := range map[string]struct{ before, same, after, advice string }{
		"CachedImage": {`{sourceImage: "postgres:15"}`, `{sourceImage: "postgres:15", retain: true}`, `{sourceImage: "postgres:16"}`, sayOtherImage},
		"Repository":  {`{name: postgres}`, `{name: postgres, updateInterval: 1h}`, `{name: docker.io/library/postgres}`, sayOtherName},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			applied(t, kind, "unchanged", tt.before)
			if out, err := apply(t, manifest(kind, "unchanged", tt.same)); err != nil {
				t.Errorf("changing another field: %s", out)
			}
			if out, err := apply(t, manifest(kind, "unchanged", tt.after)); err == nil || !strings.Contains(out, tt.advice) {
				t.Errorf("kubectl says %q (%v), want %q", out, err, tt.advice)
			}
		})
	}
}

func TestApply_RulesHoldOnUpdate(t *testing.T) {
	t.Parallel()
	applied(t, "Repository", "updated", `{name: a, updateInterval: 1h, maxStale: 2h}`)
	for spec, advice := range map[string]string{
		`{name: a, updateInterval: 3h, maxStale: 2h}`:         sayShort,
		`{name: a, updateInterval: 1s, updateMode: Periodic}`: sayPeriodic,
		`{name: a, updateFilters: ["["]}`:                     sayFilter,
	} {
		if out, err := apply(t, manifest("Repository", "updated", spec)); err == nil || !strings.Contains(out, advice) {
			t.Errorf("kubectl says %q (%v), want %q", out, err, advice)
		}
	}
}
