package origin_test

import (
	"bytes"
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

// TestFail_ChangesTheAnswer holds what can be seen in one whole answer for a layer.
func TestFail_ChangesTheAnswer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		effects []origin.Effect
		header  []string
		check   func(t *testing.T, layer []byte, got answered)
	}{
		"status with a header": {
			effects: []origin.Effect{origin.Status(429, "Retry-After", "7")},
			check: func(t *testing.T, _ []byte, got answered) {
				if got.StatusCode != 429 || got.Header.Get("Retry-After") != "7" || !strings.Contains(string(got.body), `"errors"`) {
					t.Errorf("%s, header %v, body %s", got.Status, got.Header, got.body)
				}
			},
		},
		"redirect to another origin": {
			effects: []origin.Effect{origin.Redirect("http://other.example")},
			check: func(t *testing.T, _ []byte, got answered) {
				want := "http://other.example" + got.Request.URL.Path
				if got.StatusCode != 307 || got.Header.Get("Location") != want {
					t.Errorf("%s to %s, want %s", got.Status, got.Header.Get("Location"), want)
				}
			},
		},
		"redirect to a URL": {
			effects: []origin.Effect{origin.RedirectTo("http://169.254.169.254/latest")},
			check: func(t *testing.T, _ []byte, got answered) {
				if got.StatusCode != 307 || got.Header.Get("Location") != "http://169.254.169.254/latest" {
					t.Errorf("%s to %s", got.Status, got.Header.Get("Location"))
				}
			},
		},
		"redirect loop": {
			effects: []origin.Effect{origin.RedirectLoop()},
			check: func(t *testing.T, _ []byte, got answered) {
				if to, err := got.Location(); err != nil || to.String() != got.Request.URL.String() {
					t.Errorf("%s to %v (%v), want itself", got.Status, to, err)
				}
			},
		},
		"truncated": {
			effects: []origin.Effect{origin.TruncateAfter(100_000)},
			check: func(t *testing.T, layer []byte, got answered) {
				if got.ContentLength != layerSize || !errors.Is(got.err, io.ErrUnexpectedEOF) || !bytes.Equal(got.body, layer[:100_000]) {
					t.Errorf("declared %d, got %d bytes, then %v", got.ContentLength, len(got.body), got.err)
				}
			},
		},
		"reset": {
			effects: []origin.Effect{origin.ResetAfter(10_000)},
			check: func(t *testing.T, layer []byte, got answered) {
				if got.ContentLength != layerSize || !errors.Is(got.err, syscall.ECONNRESET) || !bytes.HasPrefix(layer[:10_000], got.body) {
					t.Errorf("declared %d, got %d bytes, then %v", got.ContentLength, len(got.body), got.err)
				}
			},
		},
		"corrupt": {
			effects: []origin.Effect{origin.Corrupt(200_000)},
			check:   checkCorrupt(0, 200_000),
		},
		"corrupt, in a range": {
			effects: []origin.Effect{origin.Corrupt(200_000)},
			header:  []string{"Range", "bytes=150000-"},
			check:   checkCorrupt(150_000, 200_000),
		},
		"longer than it should be": {
			effects: []origin.Effect{origin.WrongLength(+70_000)},
			check: func(t *testing.T, layer []byte, got answered) {
				want := append(bytes.Clone(layer), make([]byte, 70_000)...)
				if got.ContentLength != layerSize+70_000 || got.err != nil || !bytes.Equal(got.body, want) {
					t.Errorf("declared %d, got %d bytes, %v", got.ContentLength, len(got.body), got.err)
				}
			},
		},
		"shorter than it should be": {
			effects: []origin.Effect{origin.WrongLength(-1)},
			check: func(t *testing.T, layer []byte, got answered) {
				if got.ContentLength != layerSize-1 || got.err != nil || !bytes.Equal(got.body, layer[:layerSize-1]) {
					t.Errorf("declared %d, got %d bytes, %v", got.ContentLength, len(got.body), got.err)
				}
			},
		},
		"wrong digest header": {
			effects: []origin.Effect{origin.WrongDigestHeader()},
			check: func(t *testing.T, layer []byte, got answered) {
				d, err := digest.Parse(got.Header.Get("Docker-Content-Digest"))
				if err != nil || d == digest.FromBytes(layer) || !bytes.Equal(got.body, layer) {
					t.Errorf("digest %s, %v", d, err)
				}
			},
		},
		"no digest header": {
			effects: []origin.Effect{origin.NoDigestHeader()},
			check: func(t *testing.T, layer []byte, got answered) {
				if d, ok := got.Header["Docker-Content-Digest"]; ok || !bytes.Equal(got.body, layer) {
					t.Errorf("digest %s", d)
				}
			},
		},
		"chunked": {
			effects: []origin.Effect{origin.NoLength()},
			check: func(t *testing.T, layer []byte, got answered) {
				if got.ContentLength != -1 || len(got.TransferEncoding) != 1 || !bytes.Equal(got.body, layer) {
					t.Errorf("length %d, encoding %v", got.ContentLength, got.TransferEncoding)
				}
			},
		},
		"chunked and truncated": {
			effects: []origin.Effect{origin.NoLength(), origin.TruncateAfter(9)},
			check: func(t *testing.T, layer []byte, got answered) {
				if !errors.Is(got.err, io.ErrUnexpectedEOF) || !bytes.Equal(got.body, layer[:9]) {
					t.Errorf("got %d bytes, then %v", len(got.body), got.err)
				}
			},
		},
		"HTTP/1.0": {
			effects: []origin.Effect{origin.HTTP10()},
			check: func(t *testing.T, layer []byte, got answered) {
				if got.Proto != "HTTP/1.0" || got.ContentLength != layerSize || !bytes.Equal(got.body, layer) {
					t.Errorf("%s, length %d", got.Proto, got.ContentLength)
				}
			},
		},
		"HTTP/1.0 until the connection closes": {
			effects: []origin.Effect{origin.HTTP10(), origin.NoLength()},
			check: func(t *testing.T, layer []byte, got answered) {
				if got.Proto != "HTTP/1.0" || got.ContentLength != -1 || got.TransferEncoding != nil || !bytes.Equal(got.body, layer) {
					t.Errorf("%s, length %d, encoding %v", got.Proto, got.ContentLength, got.TransferEncoding)
				}
			},
		},
		"HTTP/1.0, cut off without a trace": {
			effects: []origin.Effect{origin.HTTP10(), origin.NoLength(), origin.TruncateAfter(9)},
			check: func(t *testing.T, layer []byte, got answered) {
				if got.err != nil || !bytes.Equal(got.body, layer[:9]) {
					t.Errorf("got %d bytes, then %v", len(got.body), got.err)
				}
			},
		},
		"gzip": {
			effects: []origin.Effect{origin.Gzip()},
			check: func(t *testing.T, layer []byte, got answered) {
				r, err := gzip.NewReader(bytes.NewReader(got.body))
				if err != nil || got.Header.Get("Content-Encoding") != "gzip" {
					t.Fatalf("encoding %q, %v", got.Header.Get("Content-Encoding"), err)
				}
				if plain, err := io.ReadAll(r); err != nil || !bytes.Equal(plain, layer) {
					t.Errorf("decoded %d bytes, %v", len(plain), err)
				}
			},
		},
		"a range ignored": {
			effects: []origin.Effect{origin.IgnoreRange()},
			header:  []string{"Range", "bytes=10-"},
			check: func(t *testing.T, layer []byte, got answered) {
				if got.StatusCode != 200 || !bytes.Equal(got.body, layer) {
					t.Errorf("%s, %d bytes", got.Status, len(got.body))
				}
			},
		},
		"delayed": {
			effects: []origin.Effect{origin.Delay(time.Millisecond)},
			check: func(t *testing.T, layer []byte, got answered) {
				if got.StatusCode != 200 || !bytes.Equal(got.body, layer) {
					t.Errorf("%s, %d bytes", got.Status, len(got.body))
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t)
			img := o.Push(t, "a:1", origin.RandomImage(1, layerSize))
			layer := get(t, layerURL(o, img)).body
			fault := o.Fail(origin.Blobs().Of(img.Blobs[1].Digest.String()), tc.effects...)
			tc.check(t, layer, get(t, layerURL(o, img), tc.header...))
			if fault.Hits() != 1 {
				t.Errorf("the fault struck %d times, want once", fault.Hits())
			}
			o.Heal()
			if got := get(t, layerURL(o, img)); got.err != nil || !bytes.Equal(got.body, layer) {
				t.Errorf("healed: %s, %d bytes, %v", got.Status, len(got.body), got.err)
			}
		})
	}
}

func checkCorrupt(start, at int) func(*testing.T, []byte, answered) {
	return func(t *testing.T, layer []byte, got answered) {
		want := bytes.Clone(layer)
		want[at] ^= 1
		if got.err != nil || !bytes.Equal(got.body, want[start:]) {
			t.Errorf("%s: %d bytes, %v", got.Status, len(got.body), got.err)
		}
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
