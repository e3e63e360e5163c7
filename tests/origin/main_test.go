package origin_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/larder-dev/larder/tests/leak"
	"github.com/larder-dev/larder/tests/origin"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestMain(m *testing.M) { leak.Main(m) }

const acceptAll = ocispec.MediaTypeImageIndex + ", " + ocispec.MediaTypeImageManifest +
	", application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"

// newClient returns a client that keeps no connections, follows no redirects and decodes nothing.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answered is a whole answer, with the error that ended its body.
type answered struct {
	*http.Response
	body []byte
	err  error
}

func request(t *testing.T, method, url string, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", acceptAll)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

func do(t *testing.T, method, url string, header ...string) answered {
	t.Helper()
	resp, err := newClient(t).Do(request(t, method, url, header...))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answered{Response: resp, body: body, err: err}
}

func get(t *testing.T, url string, header ...string) answered {
	t.Helper()
	return do(t, http.MethodGet, url, header...)
}

func manifestURL(o *origin.Origin, img origin.Image) string {
	reference := img.Tag
	if reference == "" {
		reference = img.Digest.String()
	}
	return o.URL() + "/v2/" + img.Repository + "/manifests/" + reference
}

// layerURL is that of the first layer.
func layerURL(o *origin.Origin, img origin.Image) string {
	return o.URL() + "/v2/" + img.Repository + "/blobs/" + img.Blobs[1].Digest.String()
}
