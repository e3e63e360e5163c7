package grant

import (
	"sync"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
)

const (
	verdictTTL  = 30 * time.Second // after which secrets, which nobody watches, are looked at again
	maxVerdicts = 64 << 10         // nodes, over all repositories
	maxRulings  = 16 << 10         // repositories, whose names are clients'
)

// verdicts remembers who was admitted a moment ago, so that the requests of one pull cost one decision. A yes alone is remembered.
type verdicts struct {
	now func() time.Time

	mu    sync.RWMutex
	repos map[imageref.Repository]*ruling
	nodes int
}

// ruling is what was decided of a repository since something of it changed last.
type ruling struct {
	all   verdict            // holds for every node
	nodes map[string]verdict // by name
}

type verdict struct {
	terms terms // under which it was made
	until time.Time
}

// terms are what a decision depends on besides grants and pods.
type terms struct {
	rule   Rule
	origin imageref.Repository
}

func newVerdicts(now func() time.Time) *verdicts {
	return &verdicts{now: now, repos: map[imageref.Repository]*ruling{}}
}

// admits says whether a node was admitted, and nothing has changed since. It allocates nothing.
func (v *verdicts) admits(repo imageref.Repository, node string, now terms) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r, ok := v.repos[repo]
	if !ok {
		return false
	}
	at := v.now()
	if r.all.holds(now, at) {
		return true
	}
	return node != "" && r.nodes[node].holds(now, at)
}

func (d verdict) holds(now terms, at time.Time) bool { return at.Before(d.until) && d.terms == now }

// begin returns what a decision that begins now belongs to.
func (v *verdicts) begin(repo imageref.Repository) *ruling {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, ok := v.repos[repo]
	if !ok {
		if len(v.repos) >= maxRulings {
			v.clear()
		}
		r = &ruling{nodes: map[string]verdict{}}
		v.repos[repo] = r
	}
	return r
}

// add remembers a decision, for a node or, where that is empty, for all, unless something changed since it began.
func (v *verdicts) add(repo imageref.Repository, at *ruling, node string, d verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.repos[repo] != at {
		return
	}
	if node == "" {
		at.all = d
		return
	}
	if _, known := at.nodes[node]; !known {
		v.nodes++
	}
	at.nodes[node] = d
	if v.nodes > maxVerdicts {
		v.clear()
	}
}

// clear forgets everything. The lock is held.
func (v *verdicts) clear() {
	clear(v.repos)
	v.nodes = 0
}

// drop has everything of a repository decided again.
func (v *verdicts) drop(repo imageref.Repository) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r, ok := v.repos[repo]; ok {
		v.nodes -= len(r.nodes)
		delete(v.repos, repo)
	}
}
