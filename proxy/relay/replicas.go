package relay

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	refreshEvery = 5 * time.Second
	refreshPause = 500 * time.Millisecond // between two refreshes, whatever asks for them
	lookupTime   = 5 * time.Second
	firstLook    = time.Second     // how long a request waits for DNS when it was never asked before
	avoidFor     = 5 * time.Second // how long a replica that failed comes last
)

// LookupHost finds the addresses of a name; net.Resolver's method is one.
type LookupHost func(ctx context.Context, host string) ([]string, error)

// Replicas are the registry's replicas as DNS has them, refreshed in the background. They are safe for concurrent use.
type Replicas struct {
	targets []string // host:port
	lookup  LookupHost
	log     logr.Logger
	known   prometheus.Gauge
	hurry   chan struct{}
	looked  chan struct{} // closed when DNS was asked for the first time
	once    sync.Once
	list    atomic.Pointer[[]*replica]

	mu    sync.Mutex
	found map[string][]string // by target: the last good addresses
}

// replica is one address of the registry.
type replica struct {
	address string // ip:port
	avoid   atomic.Int64
}

func (r *replica) failed(now time.Time)       { r.avoid.Store(now.Add(avoidFor).UnixNano()) }
func (r *replica) worked()                    { r.avoid.Store(0) }
func (r *replica) avoided(now time.Time) bool { return now.UnixNano() < r.avoid.Load() }

// NewReplicas returns the replicas behind targets, each a host:port. None is known until Run has looked.
func NewReplicas(targets []string, lookup LookupHost, known prometheus.Gauge, log logr.Logger) *Replicas {
	r := &Replicas{targets: targets, lookup: lookup, log: log, known: known, hurry: make(chan struct{}, 1),
		looked: make(chan struct{}), found: map[string][]string{}}
	r.list.Store(new([]*replica))
	return r
}

// Run refreshes the addresses until ctx ends: at once, every few seconds, and when a replica could not be reached.
func (r *Replicas) Run(ctx context.Context) {
	for {
		r.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(refreshPause):
		}
		select {
		case <-ctx.Done():
			return
		case <-r.hurry:
		case <-time.After(refreshEvery):
		}
	}
}

// lookAgain asks for a refresh soon.
func (r *Replicas) lookAgain() {
	select {
	case r.hurry <- struct{}{}:
	default: // asked for already
	}
}

// refresh looks every target up. Where DNS does not answer, the addresses that it gave last stay.
func (r *Replicas) refresh(ctx context.Context) {
	var wg sync.WaitGroup
	for _, target := range r.targets {
		wg.Go(func() { r.find(ctx, target) })
	}
	wg.Wait()
	if ctx.Err() == nil {
		r.publish()
		r.once.Do(func() { close(r.looked) })
	}
}

// await waits for the first look at DNS, but not for long: a process that has just started would send its first requests elsewhere.
func (r *Replicas) await(ctx context.Context) {
	select {
	case <-r.looked:
		return
	default:
	}
	select {
	case <-r.looked:
	case <-time.After(firstLook):
	case <-ctx.Done():
	}
}

func (r *Replicas) find(ctx context.Context, target string) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return // the options were checked
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	hosts, err := r.lookup(ctx, host)
	if missing, ok := errors.AsType[*net.DNSError](err); ok && missing.IsNotFound {
		err = nil // DNS answers: there is none. Who has such an address now is to see no token.
	}
	if err != nil {
		r.log.V(1).Info("DNS does not tell the addresses of the registry", "registry", target, "error", err.Error())
		return
	}
	addresses := make([]string, len(hosts))
	for i, host := range hosts {
		addresses[i] = net.JoinHostPort(host, port)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found[target] = addresses
}

// publish makes what was found the list, and keeps what is known of the replicas that stay.
func (r *Replicas) publish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := map[string]*replica{}
	for _, known := range *r.list.Load() {
		before[known.address] = known
	}
	after := map[string]*replica{}
	for _, address := range slices.Concat(slices.Collect(maps.Values(r.found))...) {
		after[address] = cmp.Or(before[address], &replica{address: address})
	}
	addresses := slices.Sorted(maps.Keys(after))
	if !slices.Equal(addresses, slices.Sorted(maps.Keys(before))) {
		r.log.Info("replicas of the registry", "addresses", addresses)
	}
	list := make([]*replica, len(addresses))
	for i, address := range addresses {
		list[i] = after[address]
	}
	r.known.Set(float64(len(list)))
	r.list.Store(&list)
}

// ranked returns the replicas in the order in which to ask them for a key, by rendezvous hashing: every proxy that knows the same
// addresses comes to the same order, and when one goes only its keys move. Those that failed just now come last.
func (r *Replicas) ranked(key string, now time.Time) []*replica {
	type candidate struct {
		*replica
		avoided bool
		score   uint64
	}
	list := *r.list.Load()
	candidates := make([]candidate, len(list))
	for i, replica := range list {
		candidates[i] = candidate{replica, replica.avoided(now), xxhash.Sum64String(replica.address + " " + key)}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		if a.avoided != b.avoided {
			if a.avoided {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.score, a.score)
	})
	order := make([]*replica, len(candidates))
	for i, c := range candidates {
		order[i] = c.replica
	}
	return order
}
