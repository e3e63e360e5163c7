package owner

import (
	"github.com/larder-dev/larder/internal/options/serve"
	"github.com/larder-dev/larder/internal/policy/folder"
)

// Folder returns the folder of manifests that flags and configuration file speak of. It is not read yet.
func Folder(o serve.Cache) *folder.Folder {
	options := []folder.Option{folder.WithDefaults(o.Defaults)}
	if o.ManifestsRequired {
		options = append(options, folder.Required())
	}
	return folder.New(o.Manifests, options...)
}
