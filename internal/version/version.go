// Package version says which build of Larder runs. It only reads what the linker and the Go tool left in the binary.
package version

import (
	"runtime"
	"runtime/debug"
	"sync"
)

// linked is set by -ldflags "-X github.com/larder-dev/larder/internal/version.linked=v1.2.3".
var linked string

const (
	unknown        = "dev"
	revisionLength = 12
)

// Version is the release ("v1.2.3") where the build set it, else what the Go tool knows: the module's version, or "dev" with
// the revision it was built from ("dev-0123456789ab", "-dirty" behind it where the work tree had changes).
func Version() string { return version() }

var version = sync.OnceValue(func() string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	return fromBuildInfo(info)
})

// UserAgent is what Larder calls itself towards origins: "larder/v1.2.3 (linux/amd64)".
func UserAgent() string {
	return "larder/" + Version() + " (" + runtime.GOOS + "/" + runtime.GOARCH + ")"
}

func fromBuildInfo(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	version := unknown
	if revision := settings["vcs.revision"]; revision != "" {
		version += "-" + revision[:min(len(revision), revisionLength)]
	}
	if settings["vcs.modified"] == "true" {
		version += "-dirty"
	}
	return version
}
