package origin

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
)

// errCut ends the body of an answer that a fault has cut off.
var errCut = errors.New("cut off by a fault")

// handler answers a classified request.
type handler func(w http.ResponseWriter, r *http.Request, req *Request)

// answer is the ResponseWriter through which faults strike and bytes are counted.
type answer struct {
	wire    http.ResponseWriter
	request *http.Request
	req     *Request
	journal *journal
	faults  []*Fault

	status int
	body   io.WriteCloser
	abort  func() // set by a fault that ends the connection; called when the handler has returned
}

// observed records requests and lets faults strike before next answers.
func (o *Origin) observed(classify func(*http.Request) *Request, next handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := classify(r)
		o.journal.add(req)
		a := &answer{wire: w, request: r, req: req, journal: o.journal, faults: o.faults.strike(req)}
		if !a.forestalled() {
			next(a, a.request, req)
		}
		a.finish()
	})
}

// forestalled lets the faults act before the handler does, and reports whether one of them took its place.
func (a *answer) forestalled() bool {
	for _, f := range a.faults {
		for _, e := range f.effects {
			if e.before != nil && e.before(a, f) {
				return true
			}
		}
	}
	return false
}

func (a *answer) finish() {
	if a.abort == nil {
		if a.status == 0 {
			a.WriteHeader(http.StatusOK)
		}
		// Its error is the client's going, or errCut, of which abort knows.
		_ = a.body.Close()
	}
	if a.abort != nil {
		a.abort()
		panic(http.ErrAbortHandler)
	}
}

// Header returns the header that the handler fills in; faults change it when it goes out.
func (a *answer) Header() http.Header { return a.wire.Header() }

// WriteHeader lets the faults edit the header, sends it, and builds the way for the body.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		return
	}
	a.status = status
	for _, f := range a.faults {
		for _, e := range f.effects {
			if e.header != nil {
				e.header(a.Header())
			}
		}
	}
	a.body = a.way()
	a.journal.answered(a.req, status)
	a.wire.WriteHeader(status)
}

// way builds the stages of the body from the wire backwards, so that content passes them in the order of the faults.
func (a *answer) way() io.WriteCloser {
	if a.request.Method == http.MethodHead {
		return discard{}
	}
	var way io.WriteCloser = &counted{a: a, dgst: a.digest()}
	for _, f := range slices.Backward(a.faults) {
		for _, e := range slices.Backward(f.effects) {
			if e.stage != nil {
				way = e.stage(a, f, way)
			}
		}
	}
	return way
}

// digest names the content of a successful GET; it is empty for other answers.
func (a *answer) digest() digest.Digest {
	if a.request.Method != http.MethodGet || a.status != http.StatusOK && a.status != http.StatusPartialContent {
		return ""
	}
	switch a.req.Kind {
	case KindBlob, KindCDN:
		return digest.Digest(a.req.Reference)
	case KindManifest:
		return digest.Digest(a.Header().Get("Docker-Content-Digest"))
	default:
		return ""
	}
}

// Write sends body bytes on their way.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.abort != nil {
		return 0, errCut
	}
	return a.body.Write(p)
}

// Unwrap serves http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.wire }

// flush gives the kernel what net/http holds back.
func (a *answer) flush() error { return http.NewResponseController(a.wire).Flush() }

// reset ends the connection with a RST instead of a FIN.
func (a *answer) reset() {
	c := a.request.Context().Value(connKey{}).(*net.TCPConn)
	_ = c.SetLinger(0)
	_ = c.Close()
}

// counted is the last stage: it counts what the kernel took.
type counted struct {
	a    *answer
	dgst digest.Digest
}

func (s *counted) Write(p []byte) (int, error) {
	n, err := s.a.wire.Write(p)
	if s.dgst != "" {
		s.a.journal.sent(s.dgst, n)
	}
	return n, err
}

func (s *counted) Close() error { return nil }

// discard takes the place of a body that HEAD has not.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
