package relay

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/replicas"
	"github.com/prometheus/client_golang/prometheus"
)

// avoidFor is how long a replica that failed comes last.
const avoidFor = 5 * time.Second

// Replicas are the registry's replicas, and which of them failed just now. They are safe for concurrent use.
type Replicas struct {
	*replicas.Members
	known prometheus.Gauge
	list  atomic.Pointer[[]*replica]
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
func NewReplicas(targets []string, lookup replicas.LookupHost, known prometheus.Gauge, log logr.Logger) *Replicas {
	r := &Replicas{known: known}
	r.list.Store(new([]*replica))
	r.Members = replicas.NewMembers(targets, lookup, r.publish, log)
	return r
}

// publish makes addresses the list, and keeps what is known of the replicas that stay.
func (r *Replicas) publish(addresses []string) {
	before := map[string]*replica{}
	for _, known := range *r.list.Load() {
		before[known.address] = known
	}
	list := make([]*replica, len(addresses))
	for i, address := range addresses {
		list[i] = cmp.Or(before[address], &replica{address: address})
	}
	r.known.Set(float64(len(list)))
	r.list.Store(&list)
}

// ranked returns the replicas in the order in which to ask them for a key: its owner first. Those that failed just now come last.
func (r *Replicas) ranked(key string, now time.Time) []*replica {
	type candidate struct {
		*replica
		avoided bool
		score   uint64
	}
	list := *r.list.Load()
	candidates := make([]candidate, len(list))
	for i, replica := range list {
		candidates[i] = candidate{replica, replica.avoided(now), replicas.Score(replica.address, key)}
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
