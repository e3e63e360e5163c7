package control

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// drain is an importer that reads a layout to its end, and works on it for longer than its client may be silent.
type drain struct{ works time.Duration }

func (d drain) Import(_ context.Context, r io.Reader, _ func(imageref.Reference, digest.Digest)) error {
	_, err := io.Copy(io.Discard, r)
	<-time.After(d.works)
	return err
}

func TestImport_P3_AClientThatSendsNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	const silence = 2 * time.Second // longer than a busy machine keeps a client that sends
	server := httptest.NewServer(&importer{imports: drain{2 * silence}, stopping: t.Context(), silence: silence})
	t.Cleanup(server.Close)
	post := func(body io.Reader) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(said)
	}
	stalled, sends := io.Pipe()
	go sends.Write([]byte("half a layout")) //nolint:errcheck // nobody reads the rest
	defer sends.Close()
	if said := post(stalled); !strings.Contains(said, "nothing more of the layout came") {
		t.Errorf("a client that stalls is told %q", said)
	}
	if said := post(strings.NewReader("a layout")); !strings.Contains(said, `"result"`) {
		t.Errorf("a client whose layout takes long to import is told %q", said)
	}
}
