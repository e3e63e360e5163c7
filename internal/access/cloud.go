package access

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	cloudPatience = 3 * time.Second  // how long a lookup waits for a cloud
	cloudTimeout  = 15 * time.Second // and how long the question runs on
	cloudTTL      = 4 * time.Minute  // clouds hand out tokens that hold for five minutes at least
	cloudOutage   = time.Hour        // how long a token is worth a try that the cloud does not renew
	cloudRetry    = time.Minute      // outside of its cloud, an identity is asked for in vain, and slowly
	maxHosts      = 256
)

// identity is who this process is to a cloud.
type identity struct {
	cloud string
	owns  func(host string) bool // whether a registry is the cloud's own, to whom alone the identity is shown
	login func(ctx context.Context, host string) (authn.AuthConfig, error)
}

// cloud asks for the ambient identity where a registry is the cloud's.
type cloud struct {
	identities []identity
	log        logr.Logger
	flight     singleflight.Group
	known      *lru.Cache[string, login]
}

type login struct {
	credentials []authn.AuthConfig
	at, until   time.Time
	failed      bool
}

func newCloud(identities []identity, log logr.Logger) *cloud {
	c := &cloud{identities: identities, log: log}
	c.known, _ = lru.New[string, login](maxHosts) // errs for a size below one only
	return c
}

// owns says whether a registry is a cloud's.
func (c *cloud) owns(host string) bool {
	for _, i := range c.identities {
		if i.owns(host) {
			return true
		}
	}
	return false
}

// find returns the credential that the cloud gives for one of its registries; none for other hosts, where there is no identity, or where
// it cannot be had in time.
func (c *cloud) find(ctx context.Context, host string) []authn.AuthConfig {
	for _, i := range c.identities {
		if i.owns(host) {
			return c.login(ctx, i, host)
		}
	}
	return nil
}

func (c *cloud) login(ctx context.Context, i identity, host string) []authn.AuthConfig {
	known, ok := c.known.Get(host)
	if ok && time.Now().Before(known.until) {
		return known.credentials
	}
	done := c.flight.DoChan(host, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cloudTimeout)
		defer cancel()
		return c.ask(ctx, i, host), nil
	})
	patience := time.NewTimer(cloudPatience)
	defer patience.Stop()
	select {
	case r := <-done:
		return r.Val.(login).credentials
	case <-patience.C:
	case <-ctx.Done():
	}
	return known.credentials
}

// ask logs in, and remembers how that ended; what was given before holds on through an outage. That there is no identity is no error: the
// log is told once.
func (c *cloud) ask(ctx context.Context, i identity, host string) login {
	config, err := i.login(ctx, host)
	now := time.Now()
	next := login{credentials: []authn.AuthConfig{config}, at: now, until: now.Add(cloudTTL)}
	if err != nil {
		known, ok := c.known.Peek(host)
		next = login{until: now.Add(cloudRetry), failed: true}
		if now.Sub(known.at) < cloudOutage {
			next.credentials, next.at = known.credentials, known.at
		}
		if !ok || !known.failed {
			c.log.Info("no credentials of the cloud's", "cloud", i.cloud, "origin", host, "error", err.Error())
		}
	}
	c.known.Add(host, next)
	return next
}
