// Package replicas knows the registry's replicas, as DNS has them, and which of them owns a repository: node proxies send its requests
// there, and that replica does what nobody asks for. It connects to none of them.
package replicas

import (
	"github.com/cespare/xxhash/v2"
)

// Score ranks a replica (its host:port) for a key by rendezvous hashing: the one with the highest score owns the key. Who knows the same
// addresses comes to the same owner, and when one goes only its keys move.
func Score(address, key string) uint64 { return xxhash.Sum64String(address + " " + key) }

// Owner returns the address that owns a key; empty where there is none.
func Owner(key string, addresses []string) (owner string) {
	best := uint64(0)
	for _, address := range addresses {
		if score := Score(address, key); owner == "" || score > best {
			owner, best = address, score
		}
	}
	return owner
}
