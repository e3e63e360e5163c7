package serve

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	filesystemDriver = "filesystem"
	rootDirectory    = "rootdirectory"
	keyFile          = "keyfile"
	credentials      = "credentials"
)

// drivers are the names of distribution's storage drivers.
var drivers = []string{filesystemDriver, "s3", "gcs", "azure", "inmemory"}

// objectStorage is how a store is worked with that is not a folder.
type objectStorage struct {
	Redirect  bool   `json:"redirect"`
	MaxSpool  string `json:"maxSpool"`
	Exclusive bool   `json:"exclusive"`
}

const defaultMaxSpool = 10 << 30

func (r *reader) storage(entries map[string]map[string]any, objects objectStorage) Storage {
	s := r.driver(entries)
	if s.Driver != "" && s.Driver != filesystemDriver {
		s.Redirect, s.MaxSpool, s.Exclusive = objects.Redirect, r.maxSpool(objects.MaxSpool), objects.Exclusive
	} else if (objects != objectStorage{}) {
		r.Report("objectStorage", "images are kept in a folder: remove it, or name s3, gcs or azure under storage")
	}
	return s
}

func (r *reader) maxSpool(value string) int64 {
	if value == "" {
		return defaultMaxSpool
	}
	size, err := resource.ParseQuantity(value)
	if err != nil || size.Value() <= 0 {
		r.Report("objectStorage.maxSpool", "%q: write a size above 0, such as 10Gi or 500M", value)
	}
	return size.Value()
}

func (r *reader) driver(entries map[string]map[string]any) Storage {
	if len(entries) == 0 {
		return Storage{}
	}
	names := slices.Sorted(maps.Keys(entries))
	if len(names) > 1 {
		r.Report("storage", "%s: write a single driver", strings.Join(names, ", "))
		return Storage{}
	}
	driver, parameters := names[0], entries[names[0]]
	if !slices.Contains(drivers, driver) {
		r.Report("storage."+driver, "unknown driver: write one of %s", strings.Join(drivers, ", "))
		return Storage{}
	}
	r.parameters(driver, parameters)
	return Storage{Driver: driver, Parameters: parameters}
}

// parameters checks a driver's keys and makes of their values what the driver reads.
func (r *reader) parameters(driver string, parameters map[string]any) {
	path := "storage." + driver
	// Some drivers take a key without a value for the text "<nil>".
	maps.DeleteFunc(parameters, func(_ string, value any) bool { return value == nil })
	for _, key := range slices.Sorted(maps.Keys(parameters)) {
		r.parameter(path, key, parameters[key], driverKeys[driver])
	}
	for _, key := range required(driver, parameters) {
		if _, ok := parameters[key]; !ok {
			r.Report(path+"."+key, "missing: the %s driver needs it", driver)
		}
	}
	switch driver {
	case filesystemDriver:
		r.resolveRoot(parameters)
	case "gcs":
		r.resolveKey(parameters)
	}
}

// parameter checks one key, and those below it.
func (r *reader) parameter(path, key string, value any, known map[string]form) {
	want, ok := known[key]
	switch path += "." + key; {
	case !ok && len(known) == 0:
		r.Report(path, "unknown key: this driver has none")
	case !ok:
		r.Report(path, "unknown key: write one of %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	case !want.fits(value):
		r.Report(path, "write %s", want.hint)
	case want.keys != nil:
		below := value.(map[string]any) // it fits
		for _, key := range slices.Sorted(maps.Keys(below)) {
			r.parameter(path, key, below[key], want.keys)
		}
	}
}

func (r *reader) resolveRoot(parameters map[string]any) {
	root, ok := parameters[rootDirectory].(string)
	switch {
	case !ok: // missing, or reported
	case root == "":
		r.Report("storage."+filesystemDriver+"."+rootDirectory, "write the path of a folder")
	default:
		parameters[rootDirectory] = r.Relative(root)
	}
}

// resolveKey gives gcs its key: by the path of a file, or as a mapping of the type that the driver expects.
func (r *reader) resolveKey(parameters map[string]any) {
	if file, ok := parameters[keyFile].(string); ok {
		file = r.Relative(file)
		r.Readable("storage.gcs."+keyFile, file)
		parameters[keyFile] = file
	}
	if key, ok := parameters[credentials].(map[string]any); ok {
		converted := make(map[any]any, len(key))
		for name, value := range key {
			converted[name] = value
		}
		parameters[credentials] = converted
	}
}
