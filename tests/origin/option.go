package origin

import "time"

// Option changes what New and Start start.
type Option func(*config)

type config struct {
	address    string
	dir        string // holds the registry's data and the CA; empty: a temporary folder, removed by Close
	onDisk     bool
	referrers  bool
	tls        bool
	cdn        bool
	auth       authScheme
	users      []User
	tokenLife  time.Duration
	complained func(string)
	notified   string // URL that is told of pushes
	proof      string // what the header Authorization says there
}

// WithAddress listens at address, "host:port"; the default is a free port of 127.0.0.1.
func WithAddress(address string) Option { return func(c *config) { c.address = address } }

// WithDir keeps what the origin writes in dir, which the caller removes.
func WithDir(dir string) Option { return func(c *config) { c.dir = dir } }

// OnDisk stores what is pushed in files instead of memory: for images that are large.
func OnDisk() Option { return func(c *config) { c.onDisk = true } }

// WithReferrers runs go-containerregistry's registry with the referrers API, always in memory. It serves ranges with both ends
// ("bytes=0-9") only and answers others with 416. Without this option the origin has no referrers API, and the artifacts
// that are pushed are listed under the fallback tag.
func WithReferrers() Option { return func(c *config) { c.referrers = true } }

// WithTLS serves HTTPS, also for tokens and the CDN, with a certificate of an own CA (see Origin.CAFile).
func WithTLS() Option { return func(c *config) { c.tls = true } }

// WithCDN answers a GET of a blob with a redirect to a second listener. A request that brings it an Authorization header is a
// complaint: it fails the test. The CDN's port is the only difference between its host and the origin's, so a client that
// compares names alone is caught.
func WithCDN() Option { return func(c *config) { c.cdn = true } }

// WithTokens asks for bearer tokens as Docker Hub does: 401 with a challenge, and a token server at a listener of its own.
// Anyone gets a token for what the anonymous user (a User without a name) may pull, if there is one.
func WithTokens(users ...User) Option {
	return func(c *config) { c.auth, c.users = bearer, users }
}

// WithBasic asks for a user's name and password with every request, as a registry behind htpasswd does.
func WithBasic(users ...User) Option {
	return func(c *config) { c.auth, c.users = basic, users }
}

// WithNotifications has distribution's registry tell a URL of what happens, with an Authorization header, again and again until it is taken.
func WithNotifications(url, authorization string) Option {
	return func(c *config) { c.notified, c.proof = url, authorization }
}

// WithTokenLife sets how long tokens are good; the default is 300 s.
func WithTokenLife(d time.Duration) Option { return func(c *config) { c.tokenLife = d } }
