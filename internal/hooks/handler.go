package hooks

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/metrics"
)

const (
	largestBody = 1 << 20
	bodyTime    = 10 * time.Second // for all of a body
	refreshTime = 5 * time.Second  // for the API server's answers to one request

	perSecond = 10 // requests of one registry, in the long run
	burst     = 50
)

// Refresher has a tag checked at its origin, and says how many images that is about: none where nobody wants it.
type Refresher interface {
	Refresh(ctx context.Context, ref imageref.Reference, why string) (images int, err error)
}

// Options configure a Handler.
type Options struct {
	Secrets   Secrets
	Refresher Refresher
	Metrics   *metrics.Hooks
	Log       logr.Logger
	Now       func() time.Time // nil: time.Now
}

// Handler answers POST /hooks/<registry>. It is safe for concurrent use.
type Handler struct {
	o      Options
	pace   *pace
	limits map[string]*rate.Limiter
}

// New returns a handler. Run has to run beside it.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{o: o, pace: newPace(o.Now), limits: map[string]*rate.Limiter{}}
	for source := range o.Secrets {
		h.limits[source] = rate.NewLimiter(perSecond, burst)
	}
	return h
}

// Path is the pattern that the handler is for.
const Path = "POST /hooks/{source}"

// ServeHTTP answers 202 once the check of each tag was asked for, or will be; 503 where the API server did not take it, so that the
// registry comes again.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	source := r.PathValue("source")
	limit := h.limits[source]
	if limit == nil {
		http.NotFound(w, r)
		return
	}
	outcome, status := h.answer(r, source, limit)
	h.o.Metrics.Requests.WithLabelValues(source, outcome).Inc()
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(status)
}

func (h *Handler) answer(r *http.Request, source string, limit *rate.Limiter) (outcome string, status int) {
	body, status := readBody(r)
	if status != 0 {
		return "invalid", status
	}
	switch proven, given := h.o.Secrets.proven(source, r, body); {
	case !given:
		return "denied", http.StatusUnauthorized
	case !proven:
		return "denied", http.StatusForbidden
	}
	if !limit.AllowN(h.o.Now(), 1) { // strangers cannot use it up
		return "limited", http.StatusTooManyRequests
	}
	pushed, err := parsers[source](r.Header, body, r.URL.Query().Get("host"))
	if err != nil {
		h.o.Log.Info("notification not understood", "source", source, "reason", err.Error())
		return "invalid", http.StatusBadRequest
	}
	return h.refresh(r.Context(), source, pushed)
}

// refresh has tags checked that were pushed, each at once or, where that was just done, a little later.
func (h *Handler) refresh(ctx context.Context, source string, pushed []imageref.Reference) (outcome string, status int) {
	ctx, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	outcome = "ignored"
	for _, ref := range pushed {
		switch now, err := h.pace.enter(ref, source); {
		case err != nil:
			return "limited", http.StatusServiceUnavailable
		case !now:
			outcome = "accepted"
			continue
		}
		images, err := h.o.Refresher.Refresh(ctx, ref, source)
		switch {
		case err != nil:
			h.pace.leave(ref)
			h.o.Log.Error(err, "a tag that was pushed cannot be checked", "image", ref.String(), "source", source)
			return "failed", http.StatusServiceUnavailable
		case images > 0:
			h.refreshed(ref, source, images)
			outcome = "accepted"
		default:
			h.pace.leave(ref) // what nobody wants takes no room
		}
	}
	return outcome, http.StatusAccepted
}

func (h *Handler) refreshed(ref imageref.Reference, source string, images int) {
	h.o.Metrics.Refreshes.Add(float64(images))
	h.o.Log.Info("pushed tag is checked", "image", ref.String(), "source", source, "images", images)
}

// Run has the tags checked that were pushed again too soon, until ctx ends.
func (h *Handler) Run(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.due(ctx)
		}
	}
}

func (h *Handler) due(ctx context.Context) {
	for ref, source := range h.pace.due() {
		limited, cancel := context.WithTimeout(ctx, refreshTime)
		images, err := h.o.Refresher.Refresh(limited, ref, source)
		cancel()
		if err != nil {
			h.pace.again(ref, source)
			h.o.Log.Error(err, "a tag that was pushed cannot be checked; trying again", "image", ref.String(), "source", source)
			continue
		}
		h.refreshed(ref, source, images)
	}
}

// readBody returns a body, or the status with which to refuse it.
func readBody(r *http.Request) ([]byte, int) {
	if r.ContentLength > largestBody {
		return nil, http.StatusRequestEntityTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(&hurried{r.Body, time.Now().Add(bodyTime)}, largestBody+1))
	switch {
	case errors.Is(err, errSlow):
		return nil, http.StatusRequestTimeout
	case err != nil:
		return nil, http.StatusBadRequest
	case len(body) > largestBody:
		return nil, http.StatusRequestEntityTooLarge
	}
	return body, 0
}

var errSlow = errors.New("the body did not come in time")

// hurried reads until a moment. That each read ends is the server's care.
type hurried struct {
	io.Reader
	until time.Time
}

func (h *hurried) Read(p []byte) (int, error) {
	if time.Now().After(h.until) {
		return 0, errSlow
	}
	return h.Reader.Read(p)
}
