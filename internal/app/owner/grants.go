package owner

import (
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/control"
	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
)

// openGrants opens the grants in the store, and what goes by them.
func (w *Owner) openGrants(kept *store.Store, origin *upstream.Client, o Options) {
	log := o.Log.WithName("grant")
	w.Book = grant.NewBook(kept, log)
	if o.Grants == nil {
		return
	}
	options := *o.Grants
	options.Metrics, options.Log = o.Metrics, log
	keeper, err := grant.New(w.Book, origin, options)
	if err != nil {
		log.Error(err, "going on without")
	}
	w.Keeper = keeper
	w.release = append(w.release, func() error { keeper.Close(); return nil })
}

// proven has the grants know what an origin accepted. Nothing is asked of origins before they are open.
func (w *Owner) proven(repo imageref.Repository, p upstream.Proof) {
	if w.Keeper != nil {
		w.Keeper.Proven(repo, p)
	}
}

// Work is all that can be asked of the owner of a folder.
func (w *Owner) Work() control.Owner { return work{w.Cache, w.Book} }

type work struct {
	*cache.Cache
	*grant.Book
}
