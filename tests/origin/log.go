package origin

import (
	"context"
	"maps"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Stats is what an origin has done since it started or Forget was called.
type Stats struct {
	Requests    map[string]int          // by method and kind, as in "HEAD manifest"
	Bytes       map[digest.Digest]int64 // of successful GET bodies of blobs (CDN or not) and manifests
	Connections int                     // accepted by the registry's listener
	Tokens      int                     // issued
}

// journal records requests and their answers.
type journal struct {
	mu       sync.Mutex
	requests []*Request
	bytes    map[digest.Digest]int64
	tokens   int
	arrived  chan struct{} // closed and replaced when a request arrives
}

func newJournal() *journal {
	return &journal{bytes: map[digest.Digest]int64{}, arrived: make(chan struct{})}
}

func (j *journal) add(r *Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests = append(j.requests, r)
	close(j.arrived)
	j.arrived = make(chan struct{})
}

func (j *journal) answered(r *Request, status int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Status = status
}

func (j *journal) sent(dgst digest.Digest, n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.bytes[dgst] += int64(n)
}

func (j *journal) issued() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tokens++
}

func (j *journal) matching(m Match) ([]Request, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []Request
	for _, r := range j.requests {
		if m.matches(r) {
			found = append(found, *r)
		}
	}
	return found, j.arrived
}

func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests, j.bytes, j.tokens = nil, map[digest.Digest]int64{}, 0
}

func (j *journal) stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Stats{Requests: map[string]int{}, Bytes: maps.Clone(j.bytes), Tokens: j.tokens}
	for _, r := range j.requests {
		s.Requests[r.Method+" "+string(r.Kind)]++
	}
	return s
}

// Requests returns the requests that match, in the order in which they arrived.
func (o *Origin) Requests(m Match) []Request {
	found, _ := o.journal.matching(m)
	return found
}

// Count returns how many requests that match have arrived.
func (o *Origin) Count(m Match) int { return len(o.Requests(m)) }

// BytesSent returns how many body bytes of dgst went out.
func (o *Origin) BytesSent(dgst digest.Digest) int64 { return o.Stats().Bytes[dgst] }

// Stats returns what was counted so far.
func (o *Origin) Stats() Stats {
	s := o.journal.stats()
	s.Connections = o.front.listener.count()
	return s
}

// Forget begins all counts, and the record of requests, anew.
func (o *Origin) Forget() {
	o.journal.forget()
	o.front.listener.forget()
}

// WaitFor returns when n requests that match have arrived, or ctx's error.
func (o *Origin) WaitFor(ctx context.Context, m Match, n int) error {
	for {
		found, arrived := o.journal.matching(m)
		if len(found) >= n {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
