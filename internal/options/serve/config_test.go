package serve

import (
	"strings"
	"testing"
)

func FuzzParseConfig(f *testing.F) {
	for _, seed := range []string{
		"", "registries: [{host: docker.io, endpoints: ['https://a.b']}]", "storage: {filesystem: {rootdirectory: ./x}}",
		"storage: {filesystem: }", "updateFilters: ['(']", "checkTimeout: 2s\nexpiryDelay: never", "a: &a [*a]", "registries:\n- <<: {host: x}",
		"registries: [null]", "storage: {s3: null, gcs: null}", "allowedOrigins: [docker.io, ghcr.io/org, '*']",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseConfig("larder.yaml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "larder.yaml") {
				t.Errorf("an error that does not name the file: %v", err)
			}
			return
		}
		if o.CheckTimeout <= 0 || o.ExpiryDelay < 0 {
			t.Errorf("options that no process can run with: %+v", o)
		}
		if o.Defaults.Interval != nil && *o.Defaults.Interval < 0 {
			t.Errorf("a negative interval: %v", *o.Defaults.Interval)
		}
		for _, registry := range o.Registries {
			if registry.Host == "" {
				t.Errorf("a registry without a host: %+v", registry)
			}
		}
	})
}
