package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/larder-dev/larder/internal/durable"
	"github.com/larder-dev/larder/internal/imageref"
)

// saveEvery is how often what is last known is written at most.
const saveEvery = 5 * time.Second

// lastKnown is which credentials, by their fingerprints, the pods of nodes could show when they were known last: what a process goes by that
// starts while the API server is down. A node whose pods are gone is not in it, so that it opens no more than the pods did.
type lastKnown struct {
	path string // empty: nothing is kept

	mu    sync.Mutex
	nodes map[string]map[string][]string // by repository and node
	stale map[place]bool                 // whose pods changed since
	dirty bool                           // not written yet
}

// place is a node, for a repository.
type place struct {
	repo imageref.Repository
	node string
}

// openLastKnown reads the file. On an error nothing is known, and the file is replaced.
func openLastKnown(path string) (*lastKnown, error) {
	l := &lastKnown{path: path, nodes: map[string]map[string][]string{}, stale: map[place]bool{}}
	if path == "" {
		return l, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &l.nodes)
	}
	if err != nil {
		l.nodes = map[string]map[string][]string{}
		return l, fmt.Errorf("reading what was last known of the nodes' pods from %s: %w", path, err)
	}
	return l, nil
}

// find returns the fingerprints of a node's pods; none where these have changed since.
func (l *lastKnown) find(repo imageref.Repository, node string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stale[place{repo, node}] {
		return nil
	}
	return l.nodes[repo.String()][node]
}

// note replaces them.
func (l *lastKnown) note(repo imageref.Repository, node string, ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := repo.String()
	delete(l.stale, place{repo, node})
	if slices.Equal(l.nodes[name][node], ids) {
		return
	}
	if l.nodes[name] == nil {
		l.nodes[name] = map[string][]string{}
	}
	l.nodes[name][node] = ids
	l.dirty = true
}

// changed says that other pods use a repository on a node.
func (l *lastKnown) changed(repo imageref.Repository, node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.nodes[repo.String()][node]; known {
		l.stale[place{repo, node}] = true
	}
}

// changes lists the nodes whose pods changed.
func (l *lastKnown) changes() []place {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.stale))
}

// places lists all nodes that are known, for each repository.
func (l *lastKnown) places() []place {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []place
	for name, nodes := range l.nodes {
		repo, err := imageref.ParseRepository(name)
		if err != nil {
			delete(l.nodes, name) // the file was not written by us
			continue
		}
		for node := range nodes {
			all = append(all, place{repo, node})
		}
	}
	return all
}

// forget removes a node.
func (l *lastKnown) forget(repo imageref.Repository, node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := repo.String()
	delete(l.stale, place{repo, node})
	delete(l.nodes[name], node)
	if len(l.nodes[name]) == 0 {
		delete(l.nodes, name)
	}
	l.dirty = true
}

// save writes the file, if something changed.
func (l *lastKnown) save() error {
	l.mu.Lock()
	if !l.dirty || l.path == "" {
		l.mu.Unlock()
		return nil
	}
	text, err := json.Marshal(l.nodes)
	l.dirty = false
	l.mu.Unlock()
	if err == nil {
		err = durable.Replace(l.path, text)
	}
	if err != nil {
		l.mu.Lock()
		l.dirty = true
		l.mu.Unlock()
		return fmt.Errorf("keeping what is known of the nodes' pods for a start without the API server: %w", err)
	}
	return nil
}

// Run keeps the file in step with the pods until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			k.save(&failed)
			return
		case <-tick.C:
			k.settle(ctx, &failed)
		}
	}
}

// settle finds out what the pods of nodes can show now where these changed, and writes the file. The log is told once for as long as that
// fails.
func (k *Keeper) settle(ctx context.Context, failed *bool) {
	for _, p := range k.lastKnown.changes() {
		k.renew(ctx, p)
	}
	k.save(failed)
}

// PodsKnown forgets the nodes on which no pod uses a repository any more: of pods that went while nobody watched them, as before a start, no
// event tells. It is to be called whenever Cluster has come to know all pods.
func (k *Keeper) PodsKnown(ctx context.Context) {
	for _, p := range k.lastKnown.places() {
		if pods, err := k.o.Cluster.Pods(ctx, p.repo, p.node); err == nil && len(pods) == 0 {
			k.lastKnown.forget(p.repo, p.node)
		}
	}
}

func (k *Keeper) save(failed *bool) {
	err := k.lastKnown.save()
	if err != nil && !*failed {
		k.o.Log.Error(err, "going on without")
	}
	*failed = err != nil
}

// renew does so for one node; where it cannot be found out, the next settle tries again.
func (k *Keeper) renew(ctx context.Context, p place) {
	record, err := k.book.Record(ctx, p.repo)
	if err != nil {
		return
	}
	pods, err := k.o.Cluster.Pods(ctx, p.repo, p.node)
	if err != nil {
		return
	}
	claims, err := k.claims(ctx, p.repo, pods)
	if asked := questions(p.repo, record, claims); len(asked) > 0 && err == nil {
		k.lastKnown.note(p.repo, p.node, ids(asked))
	} else if err == nil {
		k.lastKnown.forget(p.repo, p.node)
	}
}
