package relay

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/hop"
	"github.com/larder-dev/larder/internal/httpx"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/larder-dev/larder/internal/ocipath"
	"github.com/larder-dev/larder/internal/token"
	"github.com/larder-dev/larder/internal/upstream"
)

// Options configure a Handler.
type Options struct {
	Replicas *Replicas
	Origin   *upstream.Client // asked where no replica answers; nil: nobody is (mirror mode)
	Names    *Names           // what of names the registry knows better than an origin; nil: nothing
	Token    *token.File      // shown to the registry; nil: nothing is
	Trust    *hop.Trust       // by which the registry is known; nil: it is asked in plain HTTP
	Node     string           // what this node is called; empty: the registry is not told
	Metrics  *metrics.Relay
	Log      logr.Logger

	HoldUntold bool // no tag and no list is taken from an origin before the registry has told names once
}

// Handler relays everything under /v2/; whatever lies outside is 404.
type Handler struct {
	o       Options
	replica *exchanger
	storage *http.Transport // of what the registry redirects to
}

// New returns a handler. Run keeps its connections tidy.
func New(o Options) *Handler {
	return &Handler{
		o: o, replica: newExchanger(o.Trust),
		storage: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: dialTime}).DialContext, TLSHandshakeTimeout: tlsTime,
			ResponseHeaderTimeout: idleTime, IdleConnTimeout: keepTime, MaxIdleConnsPerHost: keepMost,
			DisableCompression: true,
		},
	}
}

// Run closes connections that are no longer used until ctx ends, and then all that are unused.
func (h *Handler) Run(ctx context.Context) {
	tick := time.NewTicker(keepTime / 2)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			h.replica.tidy(now.Add(-keepTime))
		case <-ctx.Done():
			h.Close()
			return
		}
	}
}

// Close closes the connections that are unused.
func (h *Handler) Close() {
	h.replica.tidy(time.Now())
	h.storage.CloseIdleConnections()
}

// request is a client's request, as far as a relay understands it.
type request struct {
	ocipath.Route
	client *http.Request
	ns     string
	repo   imageref.Repository
	named  bool // repo is one
}

// read finds out which repository a request means, by either of the two namings.
func read(r *http.Request) *request {
	q := &request{Route: ocipath.Parse(r.URL), client: r}
	if q.Name == "" {
		return q
	}
	q.ns, _ = ocipath.QueryValue(r.URL.RawQuery, "ns")
	var err error
	if q.ns == "" || strings.EqualFold(q.ns, r.Host) {
		q.repo, err = imageref.ParsePath(q.Name)
	} else {
		q.repo, err = imageref.ParseMirror(q.ns, q.Name)
	}
	q.named = err == nil
	return q
}

// key is what decides which replica is asked first: the repository, however it is named.
func (q *request) key() string {
	if q.named {
		return q.repo.String()
	}
	return q.client.URL.Path
}

// maxLogged is how much of a reference the access log gets: more than any valid one has.
const maxLogged = 256

func (q *request) note(record *httpx.Record) {
	record.Kind = q.Endpoint.String()
	record.Reference = q.Reference[:min(len(q.Reference), maxLogged)]
	if q.named {
		record.Repository = q.repo.String()
	}
}

// ServeHTTP answers one request. It panics with http.ErrAbortHandler where a body cannot be finished, so that the client sees a
// broken connection instead of a short blob.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := read(r)
	q.note(httpx.RecordOf(w))
	if !isOwnHost(r.Host) {
		refuse(w, r, http.StatusMisdirectedRequest, codeDenied, "this is a node's own address: ask it as localhost, or by its IP address")
		return
	}
	if q.Endpoint == ocipath.Outside {
		refuse(w, r, http.StatusNotFound, codeUnsupported, "no such page: the registry API lies under /v2/")
		return
	}
	if a := h.ask(r.Context(), q, asked(r.Header)); a != nil {
		h.deliver(w, q, a)
		return
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody waits
	}
	h.fallBack(w, q)
}

// isOwnHost says whether a Host header is one that the node's runtime sends: an address, or localhost. By another name a browser on the node
// would ask for a page of somebody else that has had the name resolve to this node.
func isOwnHost(host string) bool {
	name := strings.ToLower(strings.TrimSuffix((&url.URL{Host: host}).Hostname(), "."))
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// passed are the headers of a client that the registry gets to see.
var passed = []string{"Accept", "If-None-Match", "If-Range", "Range", "User-Agent"}

func asked(client http.Header) http.Header {
	header := make(http.Header, len(passed)+2)
	for _, name := range passed {
		if values := client.Values(name); len(values) > 0 {
			header[name] = values
		}
	}
	if header["User-Agent"] == nil {
		header["User-Agent"] = []string{""} // else net/http would write its own
	}
	return header
}
