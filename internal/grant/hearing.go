package grant

import (
	"context"
	"slices"
	"time"
)

const (
	// patience is how long a request waits to be decided: containerd gives up at 30 s, and the pull itself is to come still.
	patience = 8 * time.Second
	// podsPatience is how long of that it waits for the pod that it is for: a node may know of one before we do.
	podsPatience = 2 * time.Second
)

// hearing is a request that is being decided.
type hearing struct {
	*Keeper
	request Request
	rule    Rule
	at      *ruling
	record  *Record

	pods    []Pod
	unknown bool    // nobody knows the pods
	tried   int     // credentials of theirs
	said    answers // of the origin
}

// decide says whether the node may have what it asks for. A yes that the origin gave just now is remembered by its grant: the next request
// finds that.
func (h *hearing) decide(ctx context.Context) (bool, error) {
	var err error
	if h.record, err = h.book.Record(ctx, h.request.Repo); err != nil {
		return false, err
	}
	if h.grantedToAll() {
		return true, nil
	}
	if h.request.Node == "" {
		return h.askForEverybody(ctx).wait(h), nil
	}
	return h.forNode(ctx), nil
}

// grantedToAll says whether everybody may have it, by what was granted before.
func (h *hearing) grantedToAll() bool {
	for id := range h.forAll(h.request.Repo) {
		if g, ok := h.record.find(id, h.rule.TTL, h.o.Now()); ok {
			h.admit("", g)
			return true
		}
	}
	return false
}

// forNode says whether a pod of the node may have it, now or within the time that a pod may take to be known; or everybody, which is asked
// meanwhile.
func (h *hearing) forNode(ctx context.Context) bool {
	late := time.NewTimer(podsPatience)
	defer late.Stop()
	var everybody *asking
	var answered <-chan struct{}
	for {
		changed := h.o.Cluster.Changed(h.request.Repo)
		h.at = h.verdicts.begin(h.request.Repo)
		if h.look(ctx) {
			return true
		}
		if everybody == nil {
			everybody = h.askForEverybody(ctx)
			answered = everybody.done
		}
		select {
		case <-changed:
		case <-answered:
			if everybody.yes {
				return true
			}
			answered = nil
		case <-late.C:
			return everybody.wait(h)
		}
	}
}

// look decides by the pods that are known now.
func (h *hearing) look(ctx context.Context) bool {
	record, err := h.book.Record(ctx, h.request.Repo) // anew: what it says is to be no older than the ruling
	if err != nil {
		h.said.add(err)
		return false
	}
	h.record = record
	waiting, cancel := context.WithTimeout(ctx, podsPatience)
	defer cancel()
	repo, node := h.request.Repo, h.request.Node
	pods, err := h.o.Cluster.Pods(waiting, repo, node)
	h.pods, h.unknown, h.tried, h.said = pods, err != nil, 0, answers{}
	if h.unknown {
		return h.remembered()
	}
	if len(pods) == 0 {
		return false
	}
	claims, err := h.claims(ctx, repo, pods)
	asked := questions(repo, h.record, claims)
	h.tried = len(asked)
	if h.granted(asked) || err != nil && h.remembered() {
		return true
	}
	if err != nil {
		h.said.add(err)
	}
	return h.confirmAny(ctx, asked, h.request.Probe, &h.said)
}

// granted admits the node where one of its pods' credentials holds a grant.
func (h *hearing) granted(asked []question) bool {
	for _, q := range asked {
		g, ok := h.record.find(q.id, h.rule.TTL, h.o.Now())
		if !ok {
			continue
		}
		h.lastKnown.note(h.request.Repo, h.request.Node, ids(asked))
		h.admit(h.request.Node, g)
		if slices.ContainsFunc(q.namespaces, func(n string) bool { return !slices.Contains(g.Namespaces, n) }) {
			h.share(h.request.Repo, g.ID, q.namespaces)
		}
		return true
	}
	return false
}

// remembered admits the node where what its pods could show when they were known last holds a grant.
func (h *hearing) remembered() bool {
	for _, id := range h.lastKnown.find(h.request.Repo, h.request.Node) {
		if g, ok := h.record.find(id, h.rule.TTL, h.o.Now()); ok {
			h.admit(h.request.Node, g)
			return true
		}
	}
	return false
}

// admit remembers for a moment that a node may have it; an empty one: that everybody may.
func (h *hearing) admit(node string, g Grant) {
	until := h.o.Now().Add(verdictTTL)
	for _, end := range []time.Time{g.expires(h.rule.TTL), h.book.goodUntil(h.record)} {
		if !end.IsZero() && end.Before(until) {
			until = end
		}
	}
	h.verdicts.add(h.request.Repo, h.at, node, verdict{terms{h.rule, h.originOf(h.request.Repo)}, until})
}

func ids(asked []question) []string {
	all := make([]string, 0, len(asked))
	for _, q := range asked {
		all = append(all, q.id)
	}
	return all
}

// asking finds out whether everybody may have a repository: strangers, or Larder itself.
type asking struct {
	done chan struct{}
	yes  bool    // once done is closed
	said answers // as well
}

func (h *hearing) askForEverybody(ctx context.Context) *asking {
	a := &asking{done: make(chan struct{})}
	repo, record, probe := h.request.Repo, h.record, h.request.Probe
	go func() {
		defer close(a.done)
		claims, err := h.everybodys(ctx, repo)
		if err != nil {
			a.said.add(err)
		}
		a.yes = h.confirmAny(ctx, questions(repo, record, claims), probe, &a.said)
	}()
	return a
}

// wait says whether everybody may have it, and has the hearing know why not.
func (a *asking) wait(h *hearing) bool {
	<-a.done
	h.said.merge(a.said)
	return a.yes
}
