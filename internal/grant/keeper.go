package grant

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/go-logr/logr"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
)

const (
	tellEvery = time.Minute // how often the same refusal is told beside the answer itself
	maxTold   = 4096
)

// Options configure a Keeper.
type Options struct {
	Cluster Cluster
	Rule    func(imageref.Repository) Rule // quick: it is asked for each request
	// Origins are the repositories that are asked for the images of one; nil, or none: itself. The first says who may pull.
	Origins func(imageref.Repository) []imageref.Repository
	// AskedFor are the repositories for whose images one is asked; nil: itself alone.
	AskedFor  func(imageref.Repository) []imageref.Repository
	LastKnown string // a file, for a start without the API server; empty: none
	// OnRefused, if set, is told of refusals that concern pods, of each a minute apart at least. It must not block.
	OnRefused func(*Refusal)
	Now       func() time.Time // nil: time.Now
	Metrics   *metrics.Metrics
	Log       logr.Logger
}

// Keeper admits requests. It is safe for concurrent use.
type Keeper struct {
	o         Options
	origin    Origin
	book      *Book
	verdicts  *verdicts
	lastKnown *lastKnown
	flight    singleflight.Group
	denials   *lru.Cache[string, answer]
	told      *lru.Cache[string, time.Time]
	learned   *lru.Cache[string, time.Time]
	salt      []byte // of the names in learned

	ctx    context.Context // of what runs in the background
	cancel context.CancelFunc
	mu     sync.Mutex // guards wg against what starts during Close
	wg     sync.WaitGroup
}

// New returns a keeper of the grants in a book, which asks origin for more. What was known before of the nodes is read here; an error
// says that it cannot be, and then nothing is known. Close ends what it runs.
func New(book *Book, origin Origin, o Options) (*Keeper, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.AskedFor == nil {
		o.AskedFor = func(repo imageref.Repository) []imageref.Repository { return []imageref.Repository{repo} }
	}
	k := &Keeper{o: o, origin: origin, book: book, verdicts: newVerdicts(o.Now), salt: make([]byte, 32)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.denials, _ = lru.New[string, answer](maxAnswers) // errs for a size below one only
	k.told, _ = lru.New[string, time.Time](maxTold)
	k.learned, _ = lru.New[string, time.Time](maxAnswers)
	_, _ = rand.Read(k.salt) // never fails
	book.Watch(k.verdicts.drop)
	var err error
	k.lastKnown, err = openLastKnown(o.LastKnown)
	return k, err
}

// Admit returns nil where a request may be answered, else a *Refusal, or the error of ctx.
func (k *Keeper) Admit(ctx context.Context, r Request) error {
	rule := k.o.Rule(r.Repo)
	if rule.Shared || k.verdicts.admits(r.Repo, r.Node, terms{rule, k.originOf(r.Repo)}) {
		return nil
	}
	h := &hearing{Keeper: k, request: r, rule: rule, at: k.verdicts.begin(r.Repo)}
	hearing, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	yes, err := h.decide(hearing)
	switch {
	case yes:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		refusal := &Refusal{Reason: Storage}
		return k.refuse(r, refusal.say("access to %s is denied: what its origin has granted cannot be read: %v", r.Repo, err))
	}
	return k.refuse(r, h.refusal())
}

// refuse counts and tells a refusal.
func (k *Keeper) refuse(r Request, why *Refusal) error {
	k.o.Metrics.PullsDenied.WithLabelValues(string(why.Reason)).Inc()
	name, now := r.Repo.String()+" "+r.Node+" "+string(why.Reason), k.o.Now()
	for _, pod := range why.Pods {
		name += " " + pod.UID
	}
	if at, ok := k.told.Get(name); ok && now.Sub(at) < tellEvery {
		return why
	}
	k.told.Add(name, now)
	k.o.Log.Info("pull denied", "repository", r.Repo.String(), "node", r.Node, "reason", why.Message)
	if k.o.OnRefused != nil && len(why.Pods) > 0 {
		k.o.OnRefused(why)
	}
	return why
}

// PodsChanged has what was decided of a repository decided again: other pods use it on a node.
func (k *Keeper) PodsChanged(repo imageref.Repository, node string) {
	k.verdicts.drop(repo)
	k.lastKnown.changed(repo, node)
}

// enter says whether something may still start in the background.
func (k *Keeper) enter() (leave func(), err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.ctx.Err(); err != nil {
		return nil, err
	}
	k.wg.Add(1)
	return k.wg.Done, nil
}

// background runs fn on its own, for confirmTimeout at most.
func (k *Keeper) background(fn func(context.Context)) {
	leave, err := k.enter()
	if err != nil {
		return
	}
	go func() {
		defer leave()
		ctx, cancel := context.WithTimeout(k.ctx, confirmTimeout)
		defer cancel()
		fn(ctx)
	}()
}

// share notes in the background that pods of more namespaces have the credential of a grant.
func (k *Keeper) share(repo imageref.Repository, id string, namespaces []string) {
	k.background(func(ctx context.Context) { k.book.share(ctx, repo, id, namespaces) })
}

// Close ends what runs in the background, and waits for it.
func (k *Keeper) Close() {
	k.mu.Lock()
	k.cancel()
	k.mu.Unlock()
	k.wg.Wait()
}
