package cluster

import (
	"net/http"
	"strings"
	"testing"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// kubectl runs kubectl as an administrator.
func (w *world) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.Kubectl(t, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// wait has kubectl wait until an object has a field, or a field's value: "{.status.phase}=Ready".
func (w *world) wait(t *testing.T, object, field string) {
	t.Helper()
	if out, err := w.Kubectl(t, "wait", object, "--for=jsonpath="+field, "--timeout=50s"); err != nil {
		t.Fatalf("waited in vain for %s of %s: %s\n%s", field, object, out, w.kubectl(t, "describe", object))
	}
}

// awaitImage waits until there is a CachedImage of a source image.
func (w *world) awaitImage(t *testing.T, source string) (found *v1alpha1.CachedImage) {
	t.Helper()
	process.Eventually(t, "a CachedImage of "+source, func() bool {
		found = w.image(t, source)
		return found != nil
	})
	return found
}

// served checks that a pull of all of an image is answered.
func (w *world) served(t *testing.T, larder *process.Larder, want origin.Image) {
	t.Helper()
	path := "/v2/" + process.Host + "/" + want.Repository
	got, body := larder.Get(t, http.MethodGet, path+"/manifests/"+want.Tag)
	if digest := got.Header.Get("Docker-Content-Digest"); got.StatusCode != http.StatusOK || digest != want.Digest.String() {
		t.Errorf("a pull of %s: %d %s %s, want 200 and %s", want.Name(), got.StatusCode, digest, body, want.Digest)
	}
	for _, blob := range want.Blobs {
		got, body := larder.Get(t, http.MethodGet, path+"/blobs/"+blob.Digest.String())
		if got.StatusCode != http.StatusOK || int64(len(body)) != blob.Size {
			t.Errorf("a pull of %s of %s: %d and %d bytes, want 200 and %d", blob.Digest, want.Name(), got.StatusCode, len(body), blob.Size)
		}
	}
}
