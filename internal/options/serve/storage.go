package serve

import (
	"maps"
	"slices"
	"strings"
)

const (
	filesystemDriver = "filesystem"
	rootDirectory    = "rootdirectory"
)

// drivers are the names of distribution's storage drivers.
var drivers = []string{filesystemDriver, "s3", "gcs", "azure", "inmemory"}

func (r *reader) storage(entries map[string]map[string]any) Storage {
	if len(entries) == 0 {
		return Storage{}
	}
	names := slices.Sorted(maps.Keys(entries))
	if len(names) > 1 {
		r.report("storage", "%s: write a single driver", strings.Join(names, ", "))
		return Storage{}
	}
	driver, parameters := names[0], entries[names[0]]
	if !slices.Contains(drivers, driver) {
		r.report("storage."+driver, "unknown driver: write one of %s", strings.Join(drivers, ", "))
		return Storage{}
	}
	if driver == filesystemDriver {
		r.resolveRoot(parameters)
	}
	return Storage{Driver: driver, Parameters: parameters}
}

func (r *reader) resolveRoot(parameters map[string]any) {
	value, ok := parameters[rootDirectory]
	if !ok {
		return
	}
	root, ok := value.(string)
	if !ok || root == "" {
		r.report("storage."+filesystemDriver+"."+rootDirectory, "write the path of a folder")
		return
	}
	parameters[rootDirectory] = r.relative(root)
}
