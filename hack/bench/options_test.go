package main

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse_Rows(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"None means all":           {nil, rowNames()},
		"Some, in their own order": {[]string{"-rows", "warm,cold"}, []string{"cold", "warm"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := parse(tt.args, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range o.rows {
				got = append(got, r.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ args, want string }{
		"An unknown row": {"-rows warm,cool", `"cool": write some of cold,`},
		"No rounds":      {"-rounds 0", "write a number above 0"},
		"An argument":    {"warm", `unexpected argument "warm"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(strings.Fields(tt.args), io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that says %q", err, tt.want)
			}
		})
	}
}

func TestParseScale_Refuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ args, want string }{
		"Fewer pods than images": {"-pods 10 -images 11", "-pods 10: write at least"},
		"No images":              {"-images 0", "write numbers above 0"},
		"An argument":            {"-pods 10000 fast", `unexpected argument "fast"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := parseScale(strings.Fields(tt.args), io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that says %q", err, tt.want)
			}
		})
	}
}
