package manifest

import (
	"encoding/json"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	dockerV1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	unknown  = "application/octet-stream"
)

// MediaType tells what a manifest is whose media type nobody else tells. Only OCI's may leave it out.
func MediaType(body []byte) string {
	var m struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
	}
	switch err := json.Unmarshal(body, &m); {
	case err != nil:
		return unknown
	case m.MediaType != "":
		return m.MediaType
	case m.SchemaVersion == 1:
		return dockerV1
	case m.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	default:
		return ocispec.MediaTypeImageManifest
	}
}
