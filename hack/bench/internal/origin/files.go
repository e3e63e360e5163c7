package origin

import (
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
)

// files serves what lies under a root, by the paths of the distribution spec.
type files string

func (f files) serve(w http.ResponseWriter, r *http.Request) {
	name := filepath.Join(string(f), filepath.FromSlash(path.Clean(r.URL.Path)))
	file, err := os.Open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	dgst, header := path.Base(name), w.Header()
	header.Set("Content-Type", "application/octet-stream")
	if strings.Contains(name, "/manifests/") {
		header.Set("Content-Type", content.ManifestType)
		if target, err := os.Readlink(name); err == nil { // a tag
			dgst = target
		}
	}
	header.Set("Docker-Content-Digest", dgst)
	header.Set("Etag", `"`+dgst+`"`)
	http.ServeContent(w, r, "", time.Time{}, file)
}
