package store

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
)

// life is a store under random work, and a model of what must be there: of each tag its revision and those before it.
type life struct {
	*world
	random *rand.Rand
	now    time.Time
	tagged map[string][]image // by repository and tag, the current revision first
	made   int
}

const (
	kept     = 2 // revisions in a tag's history
	lifeTags = 6
)

var lifeRepositories = []imageref.Repository{nginx, redis}

// TestSweep_M4_ADayOfRandomWork needs about a second; LARDER_SOAK=1 makes a day of it, at an operation every ten seconds.
func TestSweep_M4_ADayOfRandomWork(t *testing.T) {
	t.Parallel()
	operations := 150
	if os.Getenv("LARDER_SOAK") != "" {
		operations = 8640
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	l := &life{
		world:  &world{T: t, store: steppedStore(t), words: map[digest.Digest]string{}},
		random: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1_700_000_000, 0), tagged: map[string][]image{},
	}
	for n := range operations {
		l.operation(t.Context())
		l.invariant()
		if n%50 == 49 {
			l.settled(t.Context())
		}
		if t.Failed() {
			t.Fatalf("after operation %d of seed %d", n, seed)
		}
	}
}

// operation does one thing, beside a sweep every other time.
func (l *life) operation(ctx context.Context) {
	var beside sync.WaitGroup
	if l.random.IntN(2) == 0 {
		grace := time.Duration(l.random.IntN(2)) * time.Hour
		now := l.now
		beside.Go(func() {
			_, err := l.store.Sweep(ctx, SweepOptions{Grace: grace, Now: func() time.Time { return now }, Bury: l.bury})
			l.must(err)
		})
	}
	repo, tag := lifeRepositories[l.random.IntN(len(lifeRepositories))], fmt.Sprint(l.random.IntN(lifeTags))
	switch l.random.IntN(5) {
	case 0:
		l.untag(ctx, repo, tag)
	case 1: // an image that was there before, perhaps swept, perhaps another repository's
		if all := slices.Concat(slices.Collect(maps.Values(l.tagged))...); len(all) > 0 {
			l.moveTo(ctx, repo, tag, all[l.random.IntN(len(all))])
		}
	default:
		l.made++
		l.moveTo(ctx, repo, tag, l.imageOf(fmt.Sprint("config ", l.made), fmt.Sprint("layer ", l.random.IntN(l.made)), "base"))
	}
	beside.Wait()
	l.now = l.now.Add(20 * time.Minute)
}

func (l *life) bury(_ imageref.Repository, _ string, remove func() error) error {
	l.tags.Lock()
	defer l.tags.Unlock()
	return remove()
}

func (l *life) moveTo(ctx context.Context, repo imageref.Repository, tag string, img image) {
	key := repo.String() + ":" + tag
	revisions := append([]image{img}, l.tagged[key]...)
	l.tagged[key] = revisions[:min(len(revisions), kept)]
	rec := l.record(img)
	for _, revision := range l.tagged[key] {
		rec.History = append(rec.History, Revision{Digest: revision.desc.Digest})
	}
	l.must(l.store.PutManifest(ctx, repo, img.desc, img.body))
	l.tags.Lock()
	l.must(l.store.PutTag(ctx, repo, tag, rec))
	l.tags.Unlock()
	l.assure(ctx, repo, img)
	l.bring(ctx, repo, img)
}

func (l *life) assure(ctx context.Context, repo imageref.Repository, img image) {
	_, err := l.store.LinkedManifest(ctx, repo, img.desc.Digest)
	if err == nil {
		_, err = l.store.StatBlob(ctx, img.desc.Digest)
	}
	if err != nil {
		l.must(l.store.PutManifest(ctx, repo, img.desc, img.body))
	}
}

func (l *life) untag(ctx context.Context, repo imageref.Repository, tag string) {
	key := repo.String() + ":" + tag
	if len(l.tagged[key]) == 0 {
		return
	}
	rec := l.record(l.tagged[key][0])
	rec.Untagged = true
	delete(l.tagged, key)
	l.tags.Lock()
	defer l.tags.Unlock()
	l.must(l.store.PutTag(ctx, repo, tag, rec))
}

// invariant says whether all that is reachable is there, and right.
func (l *life) invariant() {
	l.Helper()
	for _, repo := range lifeRepositories {
		for tag := range lifeTags {
			for _, img := range l.tagged[repo.String()+":"+fmt.Sprint(tag)] {
				wantImage(l, l.store, repo, img, true)
				for _, dgst := range img.blobs {
					l.wantBytes(l.Context(), dgst)
				}
			}
		}
	}
}

// settled says whether two marks that nobody disturbs leave nothing but what is reachable.
func (l *life) settled(ctx context.Context) {
	l.Helper()
	for range 3 {
		l.now = l.now.Add(2 * time.Hour)
		_, err := l.store.Sweep(ctx, SweepOptions{Grace: time.Hour, Now: func() time.Time { return l.now }})
		l.must(err)
	}
	want := map[digest.Digest]bool{}
	for _, revisions := range l.tagged {
		for _, img := range revisions {
			want[img.desc.Digest] = true
			for _, dgst := range img.blobs {
				want[dgst] = true
			}
		}
	}
	folders, err := l.store.list(ctx, blobsRoot+"/sha256")
	l.must(err)
	for _, folder := range folders {
		blobs, err := l.store.digests(ctx, blobsRoot+"/sha256/"+folder, digest.SHA256)
		l.must(err)
		for _, dgst := range blobs {
			if !want[dgst] {
				l.Errorf("blob %s is left, %q", dgst, l.words[dgst])
			}
		}
	}
	l.invariant()
}
