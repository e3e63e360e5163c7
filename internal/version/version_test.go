package version

import (
	"regexp"
	"runtime/debug"
	"testing"
)

func TestFromBuildInfo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"A module's version":           {debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
		"A work tree without versions": {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "dev"},
		"A test binary":                {debug.BuildInfo{}, "dev"},
		"A clean work tree": {debug.BuildInfo{Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.modified", Value: "false"},
		}}, "dev-0123456789ab"},
		"A changed work tree": {debug.BuildInfo{Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123"}, {Key: "vcs.modified", Value: "true"},
		}}, "dev-0123-dirty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fromBuildInfo(&test.info); got != test.want {
				t.Errorf("fromBuildInfo() = %q, want %q", got, test.want)
			}
		})
	}
}

func TestUserAgent_IsAProductToken(t *testing.T) {
	t.Parallel()
	if got := UserAgent(); !regexp.MustCompile(`^larder/[\w.+-]+ \(\w+/\w+\)$`).MatchString(got) {
		t.Errorf("UserAgent() = %q", got)
	}
}
