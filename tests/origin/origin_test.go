package origin_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/opencontainers/go-digest"
)

func TestStats_CountsByKindAndDigest(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, 4096))
	if diff := cmp.Diff(origin.Stats{Requests: map[string]int{}, Bytes: map[digest.Digest]int64{}}, o.Stats()); diff != "" {
		t.Errorf("after a push (-want +got):\n%s", diff)
	}
	do(t, http.MethodHead, manifestURL(o, img))
	get(t, manifestURL(o, img))
	get(t, layerURL(o, img), "Range", "bytes=0-9")
	get(t, o.URL()+"/v2/a/tags/list")
	get(t, o.URL()+"/v2/a/referrers/"+img.Digest.String())
	want := origin.Stats{
		Requests: map[string]int{
			"HEAD manifest": 1, "GET manifest": 1, "GET blob": 1, "GET tags": 1, "GET referrers": 1,
		},
		Bytes:       map[digest.Digest]int64{img.Digest: img.Size, img.Blobs[1].Digest: 10},
		Connections: 5,
	}
	if diff := cmp.Diff(want, o.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	if n := o.Count(origin.Everything().Answered(http.StatusNotFound)); n != 1 {
		t.Errorf("%d requests not found, want the one for referrers", n)
	}
	o.Forget()
	if got := o.Stats(); len(got.Requests) != 0 || len(got.Bytes) != 0 || got.Connections != 0 {
		t.Errorf("forgotten, and yet %v", got)
	}
}

func TestRequests_RecordsWhatWasAsked(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	get(t, o.URL()+"/v2/team/sub/a/manifests/none?ns=x", "Accept", "text/plain")
	o.Await(t, origin.Manifests(), 1)
	got := o.Requests(origin.Manifests())[0]
	want := origin.Request{
		Kind: origin.KindManifest, Method: "GET", Path: "/v2/team/sub/a/manifests/none", Query: "ns=x",
		Repository: "team/sub/a", Reference: "none", Status: http.StatusNotFound,
	}
	varying := cmpopts.IgnoreFields(origin.Request{}, "Header", "At", "challenge")
	if diff := cmp.Diff(want, got, varying); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	if accept := got.Header.Get("Accept"); accept != "text/plain" {
		t.Errorf("Accept %q", accept)
	}
}

func TestRefuse_ListensAgainAtTheSamePort(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, 4096))
	transport := &http.Transport{} // keeps its connection, which must not survive either
	t.Cleanup(transport.CloseIdleConnections)
	ask := func() (int, error) {
		resp, err := transport.RoundTrip(request(t, http.MethodGet, manifestURL(o, img)))
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	for range 3 {
		if status, err := ask(); err != nil || status != http.StatusOK {
			t.Fatalf("listening: %d, %v", status, err)
		}
		o.Refuse()
		for {
			_, err := ask()
			if errors.Is(err, syscall.ECONNREFUSED) {
				break
			}
			if err == nil {
				t.Fatal("an answer while connections are refused")
			}
		}
		o.Push(t, "b:1", origin.RandomImage(1, 4096)) // pushes go on
		o.Heal()
	}
}

func TestBabble_IsNeitherTLSNorHTTP(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts []origin.Option
		want string
	}{
		"to a TLS client":   {[]origin.Option{origin.WithTLS()}, "first record does not look like a TLS handshake"},
		"to a plain client": {nil, "malformed HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := origin.New(t, tc.opts...)
			o.Babble()
			resp, err := trusting(t, o).Do(request(t, http.MethodGet, o.URL()+"/v2/"))
			if err == nil {
				resp.Body.Close()
				t.Fatalf("got %s", resp.Status)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			o.Heal()
			resp, err = trusting(t, o).Do(request(t, http.MethodGet, o.URL()+"/v2/"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		})
	}
}

// trusting returns a client that trusts the origin's CA.
func trusting(t *testing.T, o *origin.Origin) *http.Client {
	t.Helper()
	c := newClient(t)
	if o.CAFile() == "" {
		return c
	}
	pem, err := os.ReadFile(o.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", o.CAFile())
	}
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	return c
}

func TestWithTLS_IsTrustedThroughItsCAOnly(t *testing.T) {
	t.Parallel()
	o := origin.New(t, origin.WithTLS())
	resp, err := trusting(t, o).Do(request(t, http.MethodGet, o.URL()+"/v2/"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 1 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
	resp, err = newClient(t).Do(request(t, http.MethodGet, o.URL()+"/v2/"))
	if err == nil {
		resp.Body.Close()
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("without the CA: %v", err)
	}
}

func TestResetAfter_ReachesThroughTLS(t *testing.T) {
	t.Parallel()
	o := origin.New(t, origin.WithTLS())
	img := o.Push(t, "a:1", origin.RandomImage(1, layerSize))
	o.Fail(origin.Blobs(), origin.ResetAfter(10))
	resp, err := trusting(t, o).Do(request(t, http.MethodGet, layerURL(o, img)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, syscall.ECONNRESET) || len(body) > 10 {
		t.Errorf("%d bytes, then %v", len(body), err)
	}
}

func TestWithCDN_RedirectsBlobsAndComplainsOfCredentials(t *testing.T) {
	t.Parallel()
	o, err := origin.Start(origin.WithCDN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	img, err := o.PushContent(t.Context(), "a:1", origin.RandomImage(1, 4096))
	if err != nil {
		t.Fatal(err)
	}
	there, err := get(t, layerURL(o, img)).Location()
	if err != nil || there.Host == o.Host() {
		t.Fatalf("redirected to %v, %v", there, err)
	}
	if got := get(t, there.String()); digest.FromBytes(got.body) != img.Blobs[1].Digest {
		t.Errorf("the CDN answers %s: %s", got.Status, got.body)
	}
	if sent := o.BytesSent(img.Blobs[1].Digest); sent != 4096 || o.Count(origin.CDN()) != 1 {
		t.Errorf("%d bytes counted in %d requests", sent, o.Count(origin.CDN()))
	}
	if c := o.Complaints(); len(c) != 0 {
		t.Errorf("complaints %q", c)
	}
	if got := get(t, there.String(), "Authorization", "Bearer x"); got.StatusCode != http.StatusBadRequest {
		t.Errorf("with credentials: %s", got.Status)
	}
	if c := o.Complaints(); len(c) != 1 {
		t.Errorf("complaints %q, want one", c)
	}
	if got := get(t, strings.TrimSuffix(there.String(), "?"+there.RawQuery)); got.StatusCode != http.StatusForbidden {
		t.Errorf("without the signature: %s", got.Status)
	}
}

func TestClose_EndsWhatHangs(t *testing.T) {
	t.Parallel()
	o, err := origin.Start(origin.OnDisk())
	if err != nil {
		t.Fatal(err)
	}
	hang := o.Fail(origin.Everything(), origin.Hang())
	done := make(chan error, 1)
	go func() {
		resp, err := newClient(t).Do(request(t, http.MethodGet, o.URL()+"/v2/"))
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	hang.Await(t, 1)
	if err := errors.Join(o.Close(), o.Close()); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("a closed origin answered")
	}
}

func TestStart_AddressIsTaken(t *testing.T) {
	t.Parallel()
	first := origin.New(t)
	second, err := origin.Start(origin.WithAddress(first.Host()), origin.WithTLS())
	if err == nil {
		second.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
}
