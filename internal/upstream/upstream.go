// Package upstream is the client of origins: registries that images come from. It knows endpoints, credentials, tokens
// and redirects, and returns what an origin said or a typed error. It stores nothing, caches nothing but tokens and
// connections, and never retries what a caller may not want retried.
//
// Plain HTTP is spoken only to an endpoint that is configured with http://: no address is taken for an insecure registry
// because it looks local. No redirect leads from https to http, to an address that is refused, or takes credentials
// to another host.
package upstream

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	maxSessions = 4096 // each holds a token: a few KiB
	maxUnlisted = 1024 // origins that no option lists; forgetting one forgets its tokens and its metrics
)

// Registry says how to reach one origin.
type Registry struct {
	Host               string   // as it stands in references: "docker.io", "reg.example:5000"
	Endpoints          []string // base URLs, tried in order; empty: https://<host> (registry-1.docker.io for docker.io)
	CAFile             string   // PEM, added to the system's roots
	InsecureSkipVerify bool     // holds for its token service and redirect targets too
	CredentialsFile    string   // a Docker config.json; empty: the one that $DOCKER_CONFIG names
}

// Options configure a Client.
type Options struct {
	Registries []Registry
	Allowed    []Allowed // what may be asked at all; none: everything that is not refused by its address
	// Credentials are tried before those of the registries' own files; nil: none.
	Credentials Credentials
	// Sources returns the repositories that are asked for one, in this order, each once; none: itself. It is quick, and what it returns is
	// not changed. May be nil. They are taken as they are: that one of them has sources of its own does not matter.
	Sources   func(repo imageref.Repository) []imageref.Repository
	UserAgent string
	Self      func() []string  // host:port pairs on which this process listens: refused as origins; may be nil
	Metrics   *metrics.Metrics // nil: nothing is counted
	Log       logr.Logger

	// Proven, if set, is called after an origin itself gave a manifest or a blob to a credential. It is called often, from many
	// goroutines, and must not block.
	Proven func(repo imageref.Repository, p Proof)
}

// Credentials finds what Larder may say to an origin that it is (A3). It is safe for concurrent use.
type Credentials interface {
	// Find returns the credentials to try for a repository, in their order; none is no error. It may ask other services, and ends
	// with ctx. On an error, what it could find comes with it.
	Find(ctx context.Context, repo imageref.Repository) ([]authn.AuthConfig, error)
	// Stamp changes when Find would look elsewhere than before. It is quick, and is asked for each request at an origin.
	Stamp(repo imageref.Repository) string
}

// Client talks to origins. It is safe for concurrent use.
type Client struct {
	userAgent string
	proven    func(imageref.Repository, Proof)
	self      func() []string
	allowed   []Allowed
	from      func(imageref.Repository) []imageref.Repository // may be nil
	metrics   *metrics.Metrics
	log       logr.Logger
	env       *environment
	secret    []byte // keys the names of credentials

	listed   map[string]*origin
	unlisted *lru.Cache[string, *origin]
	link     *link     // of unlisted origins
	keychain *keychain // of origins without a credentials file
	finder   *keychain // of Options.Credentials; nil where there are none
	accepted *lru.Cache[imageref.Repository, accepted]
	sessions *lru.Cache[sessionKey, *session]
}

// New checks the options (CA files, endpoints, credentials files are read here) and returns a client. The environment's
// proxies (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) are read here too.
func New(o Options) (*Client, error) {
	c := &Client{userAgent: o.UserAgent, proven: o.Proven, self: o.Self, allowed: o.Allowed, from: o.Sources, metrics: o.Metrics, log: o.Log,
		env: readEnvironment(), secret: make([]byte, 32), listed: make(map[string]*origin, len(o.Registries))}
	_, _ = rand.Read(c.secret) // never fails
	if c.metrics == nil {
		c.metrics = metrics.New(prometheus.NewRegistry())
	}
	if c.proven == nil {
		c.proven = func(imageref.Repository, Proof) {}
	}
	if c.self == nil {
		c.self = func() []string { return nil }
	}
	c.unlisted, _ = lru.NewWithEvict(maxUnlisted, func(host string, _ *origin) { c.metrics.ForgetOrigin(host) }) // fails only on a size below 1
	c.sessions, _ = lru.New[sessionKey, *session](maxSessions)
	c.accepted, _ = lru.New[imageref.Repository, accepted](maxAccepted)
	c.keychain = newKeychain(inFile{dockerConfig{}}, c.secret, c.log)
	if o.Credentials != nil {
		c.finder = newKeychain(o.Credentials, c.secret, c.log)
	}
	tlsConfig, err := newTLSConfig(Registry{})
	if err != nil {
		return nil, err
	}
	c.link = newLink(c.env, &guard{self: c.self}, tlsConfig)
	for _, r := range o.Registries {
		if err := c.list(r); err != nil {
			return nil, fmt.Errorf("registry %q: %w", r.Host, err)
		}
	}
	return c, nil
}

// list adds a configured origin.
func (c *Client) list(r Registry) error {
	if u, err := url.Parse("https://" + r.Host); err != nil || r.Host == "" || u.Host != r.Host ||
		r.Host != strings.ToLower(r.Host) {
		return fmt.Errorf("the host must be written as in references, in lower case: host or host:port")
	}
	if _, twice := c.listed[r.Host]; twice {
		return fmt.Errorf("the host is listed twice")
	}
	tlsConfig, err := newTLSConfig(r)
	if err != nil {
		return err
	}
	keys := c.keychain
	if r.CredentialsFile != "" {
		file, err := openConfigFile(r.CredentialsFile)
		if err != nil {
			return err
		}
		keys = newKeychain(inFile{file}, c.secret, c.log)
	}
	o := &origin{host: r.Host, keychains: c.before(keys)}
	for _, raw := range endpointsOf(r) {
		base, err := parseEndpoint(raw)
		if err != nil {
			return err
		}
		g := &guard{self: c.self, loopback: len(r.Endpoints) > 0 && isLoopbackHost(base.Hostname())}
		o.endpoints = append(o.endpoints, &endpoint{base: base, link: newLink(c.env, g, tlsConfig.Clone())})
	}
	c.listed[r.Host] = o
	return nil
}

// before puts the credentials of Options.Credentials before those of a file.
func (c *Client) before(file *keychain) []*keychain {
	if c.finder == nil {
		return []*keychain{file}
	}
	return []*keychain{c.finder, file}
}

// origin returns what is known of a host, listed or not.
func (c *Client) origin(host string) (*origin, error) {
	if o, ok := c.listed[host]; ok {
		return o, nil
	}
	if o, ok := c.unlisted.Get(host); ok {
		return o, nil
	}
	base, err := parseEndpoint(endpointsOf(Registry{Host: host})[0])
	if err != nil {
		return nil, &Error{Reason: Invalid, Host: host, Credential: anonymous, Err: err}
	}
	o := &origin{host: host, keychains: c.before(c.keychain), endpoints: []*endpoint{{base: base, link: c.link}}}
	if earlier, ok, _ := c.unlisted.PeekOrAdd(host, o); ok {
		return earlier, nil
	}
	return o, nil
}

// Close closes idle connections.
func (c *Client) Close() {
	c.link.transport.CloseIdleConnections()
	for _, o := range c.listed {
		for _, e := range o.endpoints {
			e.link.transport.CloseIdleConnections()
		}
	}
}
