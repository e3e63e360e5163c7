package grant

import (
	"context"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
)

// Summary tells to whom the images of a repository are served.
type Summary struct {
	Known      bool           // something was granted, if not any more
	Public     bool           // to every pod
	Grants     int            // to how many credentials of pods
	Namespaces map[string]int // how many grants those of each namespace hold
	Until      time.Time      // when the first of the grants ends; zero: never
}

// Summary sums up what holds of a repository now.
func (k *Keeper) Summary(ctx context.Context, repo imageref.Repository) (Summary, error) {
	rule := k.o.Rule(repo)
	record, err := k.book.Record(ctx, repo)
	if err != nil {
		return Summary{}, err
	}
	s := Summary{Known: len(record.Grants) > 0 || record.stored, Public: rule.Shared, Namespaces: map[string]int{}}
	forAll := k.forAll(repo)
	for _, g := range record.Grants {
		if _, ok := record.find(g.ID, rule.TTL, k.o.Now()); !ok {
			continue
		}
		if end := g.expires(rule.TTL); !end.IsZero() && (s.Until.IsZero() || end.Before(s.Until)) {
			s.Until = end
		}
		if !g.OfPods() {
			s.Public = s.Public || forAll[g.ID]
			continue
		}
		s.Grants++
		for _, namespace := range g.Namespaces {
			s.Namespaces[namespace]++
		}
	}
	return s, nil
}

// Learn asks the origin about a repository of which nothing is granted: for everybody, and then for its pods. It returns whether anybody
// may pull. A store that was filled before grants were kept would else open to nobody while its origins are down.
func (k *Keeper) Learn(ctx context.Context, repo imageref.Repository, probe upstream.Probe) bool {
	record, err := k.book.Record(ctx, repo)
	if err != nil {
		return false
	}
	h := &hearing{Keeper: k, request: Request{Repo: repo, Probe: probe}, record: record}
	if h.askForEverybody(ctx).wait(h) {
		return true
	}
	pods, err := k.o.Cluster.Pods(ctx, repo, "")
	if err != nil {
		return false
	}
	claims, _ := k.claims(ctx, repo, pods) // who cannot be found is asked about when it pulls
	yes := false
	for _, q := range questions(repo, record, claims) {
		yes = k.confirm(ctx, q, probe) == nil || yes
	}
	return yes
}

// Watch has fn called after what is granted of a repository may have changed, until stop is called. It must not wait: who was
// granted something does until it returns.
func (k *Keeper) Watch(fn func(imageref.Repository)) (stop func()) { return k.book.Watch(fn) }
