package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"
)

const (
	headerTimeout       = 20 * time.Second
	tlsHandshakeTimeout = 10 * time.Second
	idleConnTimeout     = 90 * time.Second
	maxIdlePerHost      = 64
	maxIdle             = 512
	readBuffer          = 64 << 10
	maxHeaderBytes      = 64 << 10 // of an answer; part of them go on to clients
)

// environment is what the process's environment says about proxies, read once when a client is made.
type environment struct {
	proxyFor func(*url.URL) (*url.URL, error)
	used     sync.Map // host:port of each proxy that was chosen
}

func readEnvironment() *environment {
	return &environment{proxyFor: httpproxy.FromEnvironment().ProxyFunc()}
}

func (e *environment) proxy(req *http.Request) (*url.URL, error) {
	proxy, err := e.proxyFor(req.URL)
	if proxy != nil {
		e.used.Store(hostPort(proxy), struct{}{})
	}
	return proxy, err
}

// link is how requests leave for one endpoint: its connections and the guard that watches them.
type link struct {
	transport *http.Transport
	guard     *guard
}

func newLink(env *environment, g *guard, tlsConfig *tls.Config) *link {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // one blob, one connection: HTTP/2 would share one window and one TCP stream among them
	g.proxies = &env.used
	return &link{guard: g, transport: &http.Transport{
		Proxy:                  env.proxy,
		DialContext:            g.dial,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    tlsHandshakeTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		IdleConnTimeout:        idleConnTimeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		ReadBufferSize:         readBuffer,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
		Protocols:              protocols,
	}}
}

func newTLSConfig(r Registry) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.InsecureSkipVerify}
	if r.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(r.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading CA file: %w", err)
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		config.RootCAs = x509.NewCertPool()
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading CA file %s: no certificate in it", r.CAFile)
	}
	return config, nil
}
