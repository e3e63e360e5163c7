// Package floor is a bare net/http server: what a cache written in Go could cost at the least. It knows its manifests by heart and
// sends blobs by http.ServeContent; it logs, measures and decides nothing.
package floor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/content"
)

// Serve serves the folder of a content.Folder at address. It returns only with an error.
func Serve(ctx context.Context, root, address string) error {
	manifests, err := read(root)
	if err != nil {
		return fmt.Errorf("reading manifests: %w", err)
	}
	server := &http.Server{
		Addr: address, Handler: &handler{root: root, manifests: manifests}, ReadHeaderTimeout: 10 * time.Second,
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	return server.ListenAndServe()
}

type manifest struct {
	body                 []byte
	length, digest, etag []string
}

type handler struct {
	root      string
	manifests map[string]manifest // by path
}

var (
	manifestType = []string{content.ManifestType}
	blobType     = []string{"application/octet-stream"}
)

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m, ok := h.manifests[r.URL.Path]; ok {
		m.serve(w, r)
		return
	}
	file, err := os.Open(filepath.Join(h.root, filepath.FromSlash(path.Clean(r.URL.Path))))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	w.Header()["Content-Type"] = blobType
	http.ServeContent(w, r, "", time.Time{}, file)
}

func (m *manifest) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Content-Type"] = manifestType
	header["Content-Length"] = m.length
	header["Docker-Content-Digest"] = m.digest
	header["Etag"] = m.etag
	if r.Method == http.MethodGet {
		_, _ = w.Write(m.body) // the client is gone: nobody is left to tell
	}
}

func read(root string) (map[string]manifest, error) {
	found := map[string]manifest{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.Contains(name, "/manifests/") {
			return err
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		dgst := "sha256:" + hex.EncodeToString(sum[:])
		found[strings.TrimPrefix(name, root)] = manifest{
			body: body, length: []string{strconv.Itoa(len(body))}, digest: []string{dgst}, etag: []string{`"` + dgst + `"`},
		}
		return nil
	})
	return found, err
}
