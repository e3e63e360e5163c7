package replicas

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

const (
	refreshEvery = 5 * time.Second
	refreshPause = 500 * time.Millisecond // between two refreshes, whatever asks for them
	lookupTime   = 5 * time.Second
	firstLook    = time.Second // how long Await waits for DNS when it was never asked before
)

// LookupHost finds the addresses of a name; net.Resolver's method is one.
type LookupHost func(ctx context.Context, host string) ([]string, error)

// Members are the replicas as DNS has them, refreshed in the background. They are safe for concurrent use.
type Members struct {
	targets []string // host:port
	lookup  LookupHost
	publish func(addresses []string)
	log     logr.Logger
	hurry   chan struct{}
	looked  chan struct{} // closed when DNS was asked for the first time
	once    sync.Once
	list    atomic.Pointer[[]string]

	mu    sync.Mutex
	found map[string][]string // by target: the last good addresses
}

// NewMembers returns the replicas behind targets, each a host:port. None is known until Run has looked. publish, if not nil, is called
// after each look, by one goroutine at a time, with the addresses in their order, each an ip:port.
func NewMembers(targets []string, lookup LookupHost, publish func(addresses []string), log logr.Logger) *Members {
	if publish == nil {
		publish = func([]string) {}
	}
	m := &Members{
		targets: targets, lookup: lookup, publish: publish, log: log,
		hurry: make(chan struct{}, 1), looked: make(chan struct{}), found: map[string][]string{},
	}
	m.list.Store(new([]string))
	return m
}

// Addresses are those that the last look has found, in their order. The caller must not change them.
func (m *Members) Addresses() []string { return *m.list.Load() }

// Run refreshes the addresses until ctx ends: at once, every few seconds, and when LookAgain asks for it.
func (m *Members) Run(ctx context.Context) {
	for {
		m.Refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(refreshPause):
		}
		select {
		case <-ctx.Done():
			return
		case <-m.hurry:
		case <-time.After(refreshEvery):
		}
	}
}

// LookAgain asks for a refresh soon.
func (m *Members) LookAgain() {
	select {
	case m.hurry <- struct{}{}:
	default: // asked for already
	}
}

// Refresh looks every target up. Where DNS does not answer, the addresses that it gave last stay.
func (m *Members) Refresh(ctx context.Context) {
	var wg sync.WaitGroup
	for _, target := range m.targets {
		wg.Go(func() { m.find(ctx, target) })
	}
	wg.Wait()
	if ctx.Err() == nil {
		m.note()
		m.once.Do(func() { close(m.looked) })
	}
}

// Await waits for the first look at DNS, but not for long: a process that has just started would send its first requests elsewhere.
func (m *Members) Await(ctx context.Context) {
	if m.hasLooked() {
		return
	}
	select {
	case <-m.looked:
	case <-time.After(firstLook):
	case <-ctx.Done():
	}
}

func (m *Members) hasLooked() bool {
	select {
	case <-m.looked:
		return true
	default:
		return false
	}
}

func (m *Members) find(ctx context.Context, target string) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return // the options were checked
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	hosts, err := m.lookup(ctx, host)
	if missing, ok := errors.AsType[*net.DNSError](err); ok && missing.IsNotFound {
		err = nil // DNS answers: there is none. Who has such an address now is to see no token.
	}
	if err != nil {
		m.log.V(1).Info("DNS does not tell the addresses of the registry", "registry", target, "error", err.Error())
		return
	}
	addresses := make([]string, len(hosts))
	for i, host := range hosts {
		addresses[i] = net.JoinHostPort(host, port)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found[target] = addresses
}

// note makes what was found the list.
func (m *Members) note() {
	m.mu.Lock()
	defer m.mu.Unlock()
	addresses := slices.Concat(slices.Collect(maps.Values(m.found))...)
	slices.Sort(addresses)
	addresses = slices.Compact(addresses)
	if !slices.Equal(addresses, m.Addresses()) {
		m.log.Info("replicas of the registry", "addresses", addresses)
	}
	m.list.Store(&addresses)
	m.publish(addresses)
}
