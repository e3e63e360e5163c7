package origin_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/opencontainers/go-digest"
)

const layerSize = 256 << 10

// expected is what a whole answer for a layer must be.
type expected struct {
	status int               // 0: 200
	proto  string            // "": HTTP/1.1
	length int64             // declared; -1: none
	header map[string]string // "": the field is missing
	body   func(layer []byte) []byte
	err    error // that ended the body
}

func (want expected) check(t *testing.T, layer []byte, got answered) {
	t.Helper()
	if status := cmp.Or(want.status, http.StatusOK); got.StatusCode != status {
		t.Errorf("status %d, want %d", got.StatusCode, status)
	}
	if proto := cmp.Or(want.proto, "HTTP/1.1"); got.Proto != proto {
		t.Errorf("%s, want %s", got.Proto, proto)
	}
	if got.ContentLength != want.length {
		t.Errorf("declared %d bytes, want %d", got.ContentLength, want.length)
	}
	for name, value := range want.header {
		if got.Header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), value)
		}
	}
	if !errors.Is(got.err, want.err) {
		t.Errorf("the body ended with %v, want %v", got.err, want.err)
	}
	if want.body != nil && !bytes.Equal(got.body, want.body(layer)) {
		t.Errorf("a body of %d bytes, want %d, or others", len(got.body), len(want.body(layer)))
	}
}

func whole(layer []byte) []byte { return layer }

func first(n int) func([]byte) []byte { return func(layer []byte) []byte { return layer[:n] } }

func zeros(n int) func([]byte) []byte {
	return func(layer []byte) []byte { return append(bytes.Clone(layer), make([]byte, n)...) }
}

func flipped(at, from int) func([]byte) []byte {
	return func(layer []byte) []byte {
		changed := bytes.Clone(layer)
		changed[at] ^= 1
		return changed[from:]
	}
}

func TestFail_ChangesTheAnswer(t *testing.T) {
	t.Parallel()
	const far = "http://other.example"
	for name, tc := range map[string]struct {
		effects []origin.Effect
		header  []string
		want    expected
	}{
		"status with a header": {
			effects: []origin.Effect{origin.Status(429, "Retry-After", "7")},
			want: expected{
				status: 429, length: 63, header: map[string]string{"Retry-After": "7"},
				body: func([]byte) []byte {
					return []byte(`{"errors":[{"code":"INJECTED","message":"Too Many Requests"}]}` + "\n")
				},
			},
		},
		"redirect to a URL": {
			effects: []origin.Effect{origin.RedirectTo(far + "/elsewhere")},
			want:    expected{status: 307, header: map[string]string{"Location": far + "/elsewhere"}},
		},
		"truncated": {
			effects: []origin.Effect{origin.TruncateAfter(100_000)},
			want:    expected{length: layerSize, body: first(100_000), err: io.ErrUnexpectedEOF},
		},
		"truncated at nothing": {
			effects: []origin.Effect{origin.TruncateAfter(0)},
			want:    expected{length: layerSize, body: first(0), err: io.ErrUnexpectedEOF},
		},
		"truncated beyond the end": {
			effects: []origin.Effect{origin.TruncateAfter(layerSize)},
			want:    expected{length: layerSize, body: whole},
		},
		"corrupt": {
			effects: []origin.Effect{origin.Corrupt(200_000)},
			want:    expected{length: layerSize, body: flipped(200_000, 0)},
		},
		"corrupt, in a range": {
			effects: []origin.Effect{origin.Corrupt(200_000)},
			header:  []string{"Range", "bytes=150000-"},
			want:    expected{status: 206, length: layerSize - 150_000, body: flipped(200_000, 150_000)},
		},
		"longer than it should be": {
			effects: []origin.Effect{origin.WrongLength(+70_000)},
			want:    expected{length: layerSize + 70_000, body: zeros(70_000)},
		},
		"shorter than it should be": {
			effects: []origin.Effect{origin.WrongLength(-1)},
			want:    expected{length: layerSize - 1, body: first(layerSize - 1)},
		},
		"wrong digest header": {
			effects: []origin.Effect{origin.WrongDigestHeader()},
			want: expected{
				length: layerSize, body: whole,
				header: map[string]string{"Docker-Content-Digest": digest.FromString("something else").String()},
			},
		},
		"no digest header": {
			effects: []origin.Effect{origin.NoDigestHeader()},
			want: expected{
				length: layerSize, body: whole,
				header: map[string]string{"Docker-Content-Digest": "", "Etag": ""},
			},
		},
		"another header": {
			effects: []origin.Effect{origin.SetHeader("Content-Type", "text/html"), origin.SetHeader("Etag", "")},
			want: expected{
				length: layerSize, body: whole,
				header: map[string]string{"Content-Type": "text/html", "Etag": ""},
			},
		},
		"chunked": {
			effects: []origin.Effect{origin.NoLength()},
			want:    expected{length: -1, body: whole},
		},
		"chunked and truncated": {
			effects: []origin.Effect{origin.NoLength(), origin.TruncateAfter(9)},
			want:    expected{length: -1, body: first(9), err: io.ErrUnexpectedEOF},
		},
		"HTTP/1.0": {
			effects: []origin.Effect{origin.HTTP10()},
			want:    expected{proto: "HTTP/1.0", length: layerSize, body: whole},
		},
		"HTTP/1.0 until the connection closes": {
			effects: []origin.Effect{origin.HTTP10(), origin.NoLength()},
			want:    expected{proto: "HTTP/1.0", length: -1, body: whole},
		},
		"HTTP/1.0, cut off without a trace": {
			effects: []origin.Effect{origin.HTTP10(), origin.NoLength(), origin.TruncateAfter(9)},
			want:    expected{proto: "HTTP/1.0", length: -1, body: first(9)},
		},
		"a range ignored": {
			effects: []origin.Effect{origin.IgnoreRange()},
			header:  []string{"Range", "bytes=10-"},
			want:    expected{length: layerSize, body: whole},
		},
		"delayed": {
			effects: []origin.Effect{origin.Delay(time.Millisecond)},
			want:    expected{length: layerSize, body: whole},
		},
		"two effects, in their order": {
			effects: []origin.Effect{origin.Corrupt(5), origin.TruncateAfter(9)},
			want: expected{
				length: layerSize, err: io.ErrUnexpectedEOF,
				body: func(layer []byte) []byte { return flipped(5, 0)(layer)[:9] },
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t)
			img := o.Push(t, "a:1", origin.RandomImage(1, layerSize))
			layer := get(t, layerURL(o, img)).body
			fault := o.Fail(origin.Blobs().Of(img.Blobs[1].Digest.String()), tc.effects...)
			tc.want.check(t, layer, get(t, layerURL(o, img), tc.header...))
			if fault.Hits() != 1 {
				t.Errorf("the fault struck %d times, want once", fault.Hits())
			}
			o.Heal()
			expected{length: layerSize, body: whole}.check(t, layer, get(t, layerURL(o, img)))
		})
	}
}

func TestRedirect_KeepsThePath(t *testing.T) {
	t.Parallel()
	o, other := origin.New(t), origin.New(t)
	img := other.Push(t, "a:1", origin.RandomImage(1, 4096))
	o.Fail(origin.Blobs(), origin.Redirect(other.URL()))
	if there, err := get(t, layerURL(o, img)).Location(); err != nil || there.String() != layerURL(other, img) {
		t.Errorf("redirected to %v (%v), want %s", there, err, layerURL(other, img))
	}
	o.Heal()
	o.Fail(origin.Blobs(), origin.RedirectLoop())
	if there, err := get(t, layerURL(o, img)).Location(); err != nil || there.String() != layerURL(o, img) {
		t.Errorf("redirected to %v (%v), want the same URL", there, err)
	}
}

func TestGzip_IsWhatTheHeaderSays(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, layerSize))
	o.Fail(origin.Blobs(), origin.Gzip())
	got := get(t, layerURL(o, img))
	plain, err := gzip.NewReader(bytes.NewReader(got.body))
	if err != nil || got.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("encoding %q, %v", got.Header.Get("Content-Encoding"), err)
	}
	if d, err := digest.FromReader(plain); err != nil || d != img.Blobs[1].Digest {
		t.Errorf("decoded to %s, %v", d, err)
	}
}

func TestResetAfter_ResetsTheConnection(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, layerSize))
	layer := get(t, layerURL(o, img)).body
	o.Fail(origin.Blobs(), origin.ResetAfter(10_000))
	got := get(t, layerURL(o, img))
	if got.ContentLength != layerSize || !errors.Is(got.err, syscall.ECONNRESET) {
		t.Errorf("declared %d bytes, then %v", got.ContentLength, got.err)
	}
	if !bytes.HasPrefix(layer[:10_000], got.body) {
		t.Errorf("got %d bytes, which are not the first of the layer", len(got.body))
	}
}

func TestFail_AppliesToHead(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, 4096))
	o.Fail(origin.Blobs(), origin.WrongLength(5), origin.NoDigestHeader())
	got := do(t, http.MethodHead, layerURL(o, img))
	if got.ContentLength != 4101 || got.Header.Get("Docker-Content-Digest") != "" {
		t.Errorf("length %d, header %v", got.ContentLength, got.Header)
	}
	if sent := o.BytesSent(img.Blobs[1].Digest); sent != 0 {
		t.Errorf("%d body bytes counted for HEAD", sent)
	}
}

func TestFail_StrikesWhatMatches(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		match origin.Match
		want  []int // status of three GETs for a:1
	}{
		"everything":      {origin.Everything(), []int{503, 503, 503}},
		"its kind":        {origin.Manifests(), []int{503, 503, 503}},
		"another kind":    {origin.Blobs(), []int{200, 200, 200}},
		"another method":  {origin.Manifests().By("HEAD"), []int{200, 200, 200}},
		"its repository":  {origin.Manifests().In("team/a").Of("1"), []int{503, 503, 503}},
		"another":         {origin.Manifests().In("a"), []int{200, 200, 200}},
		"another tag":     {origin.Manifests().Of("2"), []int{200, 200, 200}},
		"the second time": {origin.Manifests().Nth(2), []int{200, 503, 200}},
		"the first two":   {origin.Manifests().First(2), []int{503, 503, 200}},
		"after the first": {origin.Manifests().After(1), []int{200, 503, 503}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t)
			img := o.Push(t, "team/a:1", origin.RandomImage(1, 4096))
			o.Fail(tc.match, origin.Status(503))
			for i, want := range tc.want {
				if got := get(t, manifestURL(o, img)).StatusCode; got != want {
					t.Errorf("request %d: status %d, want %d", i+1, got, want)
				}
			}
		})
	}
}

func TestHang_GoesOnWhenHealed(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, 4096))
	hang := o.Fail(origin.Manifests(), origin.Hang())
	answers := make(chan answered, 1)
	go func() { answers <- get(t, manifestURL(o, img)) }()
	hang.Await(t, 1)
	select {
	case got := <-answers:
		t.Fatalf("an answer while it hangs: %s", got.Status)
	default:
	}
	hang.Heal()
	if got := <-answers; got.StatusCode != http.StatusOK || !bytes.Equal(got.body, img.Body) {
		t.Errorf("after healing: %s, %s", got.Status, got.body)
	}
}

func TestHang_EndsWithTheClient(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, 4096))
	hang := o.Fail(origin.Manifests(), origin.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		resp, err := newClient(t).Do(request(t, http.MethodGet, manifestURL(o, img)).WithContext(ctx))
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	hang.Await(t, 1)
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
}

func TestReset_LeavesNoAnswer(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	o.Fail(origin.Pings(), origin.Reset())
	resp, err := newClient(t).Do(request(t, http.MethodGet, o.URL()+"/v2/"))
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset connection", err)
	}
}

func TestStallAfter_SendsTheRestWhenHealed(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, layerSize))
	layer := get(t, layerURL(o, img)).body
	stall := o.Fail(origin.Blobs(), origin.StallAfter(1000))
	resp, err := newClient(t).Do(request(t, http.MethodGet, layerURL(o, img)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 1000)
	if _, err := io.ReadFull(resp.Body, first); err != nil || !bytes.Equal(first, layer[:1000]) {
		t.Fatalf("the first bytes: %v", err)
	}
	if sent := o.BytesSent(img.Blobs[1].Digest); sent != layerSize+1000 {
		t.Errorf("%d bytes sent in the two requests, want %d", sent, layerSize+1000)
	}
	stall.Heal()
	if rest, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(rest, layer[1000:]) {
		t.Errorf("the rest: %d bytes, %v", len(rest), err)
	}
}

func TestPaged_LinksToTheNextPage(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	for _, tag := range []string{"1", "2", "3"} {
		o.Push(t, "a:"+tag, origin.RandomImage(1, 4096))
	}
	o.Fail(origin.Tags(), origin.Paged(2))
	got := get(t, o.URL()+"/v2/a/tags/list")
	if !strings.Contains(got.Header.Get("Link"), "last=2") || strings.Contains(string(got.body), `"3"`) {
		t.Errorf("link %q, body %s", got.Header.Get("Link"), got.body)
	}
}
