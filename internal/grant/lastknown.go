package grant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

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
	stale map[imageref.Repository]bool   // whose pods changed since it was written
	dirty bool
}

// openLastKnown reads the file. On an error nothing is known, and the file is replaced.
func openLastKnown(path string) (*lastKnown, error) {
	l := &lastKnown{path: path, nodes: map[string]map[string][]string{}, stale: map[imageref.Repository]bool{}}
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

// find returns the fingerprints of a node's pods.
func (l *lastKnown) find(repo imageref.Repository, node string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nodes[repo.String()][node]
}

// note replaces them.
func (l *lastKnown) note(repo imageref.Repository, node string, ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := repo.String()
	if slices.Equal(l.nodes[name][node], ids) {
		return
	}
	if l.nodes[name] == nil {
		l.nodes[name] = map[string][]string{}
	}
	l.nodes[name][node] = ids
	l.dirty = true
}

// changed says that other pods use a repository.
func (l *lastKnown) changed(repo imageref.Repository) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.nodes[repo.String()]) > 0 {
		l.stale[repo] = true
	}
}

// takeStale returns the repositories whose pods changed, with the nodes that are known of each.
func (l *lastKnown) takeStale() map[imageref.Repository][]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := map[imageref.Repository][]string{}
	for repo := range l.stale {
		for node := range l.nodes[repo.String()] {
			taken[repo] = append(taken[repo], node)
		}
	}
	clear(l.stale)
	return taken
}

// forget removes a node.
func (l *lastKnown) forget(repo imageref.Repository, node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := repo.String()
	if _, known := l.nodes[name][node]; !known {
		return
	}
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
		err = replace(l.path, text)
	}
	if err != nil {
		l.mu.Lock()
		l.dirty = true
		l.mu.Unlock()
		return fmt.Errorf("keeping what is known of the nodes' pods for a start without the API server: %w", err)
	}
	return nil
}

// replace gives a file its content so that a power cut leaves the old one or the new one, whole.
func replace(path string, content []byte) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.ReadFrom(bytes.NewReader(content))
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Run keeps the file in step with the pods until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			k.settle(context.WithoutCancel(ctx), &failed)
			return
		case <-tick.C:
			k.settle(ctx, &failed)
		}
	}
}

// settle forgets the nodes whose pods are gone, and writes the file. The log is told once for as long as that fails.
func (k *Keeper) settle(ctx context.Context, failed *bool) {
	for repo, nodes := range k.lastKnown.takeStale() {
		for _, node := range nodes {
			if pods, err := k.o.Cluster.Pods(ctx, repo, node); err == nil && len(pods) == 0 {
				k.lastKnown.forget(repo, node)
			}
		}
	}
	err := k.lastKnown.save()
	if err != nil && !*failed {
		k.o.Log.Error(err, "going on without")
	}
	*failed = err != nil
}
