package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/durable"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/names"
	"github.com/larder-dev/larder/internal/ocipath"
)

const (
	learnEvery = 30 * time.Second // how old what is known of names may be, jitter apart
	learnAgain = 5 * time.Second  // after no replica told it
	learnTime  = 10 * time.Second // for one attempt
	stateFile  = "names.json"
)

// Names is what a proxy has learned from the registry about names of which an origin must not be asked as it is for others. It is safe for
// concurrent use. A nil one has learned nothing, and never will.
type Names struct {
	file  string // empty: nothing is kept
	log   logr.Logger
	table atomic.Pointer[names.Table]
	etag  string // of the text that the table was read from; for the one who learns
}

// OpenNames returns what is kept in a folder from before; an empty dir keeps nothing. What cannot be read is as if nothing was learned yet.
func OpenNames(dir string, log logr.Logger) *Names {
	n := &Names{log: log}
	if dir == "" {
		return n
	}
	n.file = filepath.Join(dir, stateFile)
	text, err := readBounded(n.file)
	if err == nil {
		err = n.use(text)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		log.Error(err, "what was kept of the registry's names cannot be used")
	default:
		log.Info("names are the last known ones", "repositories", n.known().Len())
	}
	return n
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, names.MaxSize))
}

// Sources are the repositories that are asked for repo, as upstream.Options.Sources.
func (n *Names) Sources(repo imageref.Repository) []imageref.Repository {
	return n.known().Origins(repo)
}

// known is nil until something was learned.
func (n *Names) known() *names.Table {
	if n == nil {
		return nil
	}
	return n.table.Load()
}

func (n *Names) use(text []byte) error {
	table, err := names.Read(text)
	if err != nil {
		return err
	}
	n.table.Store(table)
	n.etag = names.ETag(text)
	return nil
}

// keep writes a text down for the next start, so that a failure leaves the one before.
func (n *Names) keep(text []byte) error {
	if n.file == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(n.file), 0o700); err != nil {
		return err
	}
	return durable.Replace(n.file, text)
}

// Learn asks the registry for names until ctx ends: at once, and then every so often.
func (h *Handler) Learn(ctx context.Context) {
	if h.o.Names == nil {
		return
	}
	for failing := false; ; {
		wait := learnEvery
		err := h.learn(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			wait = learnAgain
			if !failing {
				h.o.Log.Info("the registry does not tell its names; what is known holds on", "reason", err.Error(), "repositories", h.o.Names.known().Len())
			}
		}
		failing = err != nil
		select {
		case <-time.After(jittered(wait)):
		case <-ctx.Done():
			return
		}
	}
}

// jittered is a wait between 0.8 and 1.2 of what was meant, so that a cluster's proxies do not come all at once.
func jittered(wait time.Duration) time.Duration {
	return wait*8/10 + rand.N(wait*4/10)
}

var errNoReplica = errors.New("no replica of the registry answers")

// learn asks the first replica that answers, once.
func (h *Handler) learn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	n := h.o.Names
	header := http.Header{"User-Agent": {"larder-proxy"}}
	if n.etag != "" {
		header.Set("If-None-Match", n.etag)
	}
	q := &request{client: (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: names.Path}}).WithContext(ctx)}
	a := h.ask(ctx, q, header)
	if a == nil {
		return errNoReplica
	}
	defer a.close()
	switch a.StatusCode {
	case http.StatusNotModified:
		h.o.Metrics.NamesTold.SetToCurrentTime()
		return nil
	case http.StatusOK:
	default:
		return fmt.Errorf("the registry answers %d", a.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(a.Body, names.MaxSize+1))
	if err != nil {
		return fmt.Errorf("reading the names: %w", err)
	}
	if len(text) > names.MaxSize {
		return fmt.Errorf("the names are more than the %d bytes that are accepted", names.MaxSize)
	}
	if err := n.use(text); err != nil {
		return err
	}
	h.o.Metrics.NamesTold.SetToCurrentTime()
	h.o.Log.V(1).Info("names learned", "repositories", n.known().Len())
	if err := n.keep(text); err != nil {
		h.o.Log.Error(err, "keeping the names for the next start")
	}
	return nil
}

var errUntold = errors.New("no replica of the registry answers, and none has told this proxy yet which tags are pinned or immutable, and what comes " +
	"from elsewhere; pull by digest, or try again later")

// hold decides what the origin is asked for in place of a tag of which the registry would know better. The error says why it is not, nor for
// a list. Whatever is named by its digest is what it is.
func (h *Handler) hold(q *request) error {
	if q.Endpoint == ocipath.Blob || q.Endpoint == ocipath.Manifest && strings.Contains(q.Reference, ":") {
		return nil
	}
	known := h.o.Names.known()
	switch {
	case known == nil && h.o.HoldUntold:
		return errUntold
	case q.Endpoint != ocipath.Manifest:
		return known.List(q.repo)
	}
	dgst, err := known.Tag(q.repo, q.Reference)
	if dgst != "" {
		q.Reference = string(dgst)
	}
	return err
}
