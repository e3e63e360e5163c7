package origin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Origin is a running registry with its front. The zero value is of no use; New and Start make one.
type Origin struct {
	front *server // what Host names
	back  *server // where Push and its like enter
	token *server // nil without WithTokens
	cdn   *server // nil without WithCDN

	registry http.Handler
	keeper   *gatekeeper // nil without WithTokens and WithBasic
	journal  *journal
	faults   *faults
	pushes   *http.Transport
	caFile   string
	closing  []func() error // in the order of opening

	mu         sync.Mutex
	complaints []string
	complained func(string)
}

// Start starts an origin, which the caller closes. Tests call New.
func Start(opts ...Option) (*Origin, error) {
	c := &config{address: "127.0.0.1:0", tokenLife: 300 * time.Second}
	for _, opt := range opts {
		opt(c)
	}
	o := &Origin{
		journal: newJournal(), faults: &faults{}, pushes: &http.Transport{MaxIdleConnsPerHost: 8},
		complained: c.complained,
	}
	if err := o.start(c); err != nil {
		return nil, errors.Join(fmt.Errorf("starting origin: %w", err), o.Close())
	}
	return o, nil
}

func (o *Origin) start(c *config) error {
	if err := o.makeDir(c); err != nil {
		return err
	}
	var err error
	var end func() error
	if o.registry, end, err = newRegistry(c); err != nil {
		return err
	}
	o.closing = append(o.closing, end)
	if o.back, err = o.serve("127.0.0.1:0", nil, o.registry); err != nil {
		return err
	}
	var secure *tls.Config
	if c.tls {
		o.caFile = filepath.Join(c.dir, "ca.pem")
		if secure, err = issueTLS(o.caFile); err != nil {
			return err
		}
	}
	return o.open(c, secure)
}

func (o *Origin) makeDir(c *config) error {
	if c.dir != "" || !c.onDisk && !c.tls {
		return nil
	}
	var err error
	if c.dir, err = os.MkdirTemp("", "origin-"); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	o.closing = append(o.closing, func() error { return os.RemoveAll(c.dir) })
	return nil
}

// open starts the listeners that clients see; the one that refers to the others comes last.
func (o *Origin) open(c *config, secure *tls.Config) (err error) {
	if c.cdn {
		if o.cdn, err = o.serve("127.0.0.1:0", secure, o.observed(classifyCDN, o.serveCDN)); err != nil {
			return err
		}
	}
	if c.auth != noAuth {
		o.keeper = &gatekeeper{
			scheme: c.auth, life: c.tokenLife, journal: o.journal, users: c.users, tokens: map[string]token{},
		}
	}
	if c.auth == bearer {
		classifyToken := func(r *http.Request) *Request { return newRequest(r, KindToken) }
		if o.token, err = o.serve("127.0.0.1:0", secure, o.observed(classifyToken, o.keeper.serveToken)); err != nil {
			return err
		}
		o.keeper.realm = o.token.urlAt("localhost") + "/token"
	}
	o.front, err = o.serve(c.address, secure, o.observed(o.classify, o.serveRegistry))
	return err
}

func (o *Origin) serve(address string, secure *tls.Config, h http.Handler) (*server, error) {
	s, err := serve(address, secure, h)
	if err != nil {
		return nil, err
	}
	o.closing = append(o.closing, func() error {
		s.close()
		return nil
	})
	return s, nil
}

func (o *Origin) classify(r *http.Request) *Request {
	req := classify(r)
	if req.challenge = o.keeper.challenge(r, req); req.challenge != "" {
		req.Kind = KindChallenge
	}
	return req
}

func (o *Origin) serveRegistry(w http.ResponseWriter, r *http.Request, req *Request) {
	switch {
	case req.challenge != "":
		w.Header().Set("WWW-Authenticate", req.challenge)
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	case o.cdn != nil && req.Kind == KindBlob && req.Method == http.MethodGet:
		o.redirectToCDN(w, req)
	default:
		o.registry.ServeHTTP(w, r)
	}
}

// Host returns "host:port", as it stands in references.
func (o *Origin) Host() string { return o.front.listener.address }

// URL returns the scheme and Host.
func (o *Origin) URL() string { return o.front.url() }

// CAFile returns the path of the CA's certificate as PEM; it is empty without WithTLS.
func (o *Origin) CAFile() string { return o.caFile }

// Refuse closes the listeners of registry, token server and CDN, and every connection to them: further ones are refused until
// Heal, which listens at the same ports again.
func (o *Origin) Refuse() {
	for _, s := range o.servers() {
		s.listener.refuse()
	}
}

// RefuseTokens does as Refuse does to the token server alone.
func (o *Origin) RefuseTokens() {
	if o.token != nil {
		o.token.listener.refuse()
	}
}

// Babble closes every connection and answers new ones with bytes that are neither TLS nor HTTP, until Heal.
func (o *Origin) Babble() {
	for _, s := range o.servers() {
		s.listener.setBabbling(true)
		s.listener.closeConns()
	}
}

// servers returns those that clients see.
func (o *Origin) servers() []*server {
	var all []*server
	for _, s := range []*server{o.front, o.token, o.cdn} {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// Complaints returns what happened that must not; New makes each of them an error of the test.
func (o *Origin) Complaints() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.complaints...)
}

func (o *Origin) complain(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.complaints = append(o.complaints, message)
	if o.complained != nil {
		o.complained(message)
	}
}

// Close ends the origin; requests under way are broken off. It returns when nothing of it is left, and may be called again.
func (o *Origin) Close() error {
	o.mu.Lock()
	closing := o.closing
	o.closing = nil
	o.mu.Unlock()
	o.pushes.CloseIdleConnections()
	var errs []error
	for _, end := range slices.Backward(closing) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}
