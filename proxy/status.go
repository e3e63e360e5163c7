package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/httpx"
)

// Shared values of Cache-Status (RFC 9211): nothing may write into these slices.
var (
	statusHit         = []string{"larder; hit"}
	statusMiss        = []string{"larder; fwd=uri-miss"}
	statusStored      = []string{"larder; fwd=uri-miss; stored"}
	statusCollapsed   = []string{"larder; fwd=uri-miss; collapsed"}
	statusRevalidated = []string{"larder; fwd=stale; fwd-status=200"}
)

// tell says how the answer came about, to the client and to the access log.
func tell(w http.ResponseWriter, o cache.Outcome) {
	httpx.RecordOf(w).Cache = outcomeName(o.Kind)
	if value := cacheStatus(o); value != nil {
		w.Header()["Cache-Status"] = value
	}
	if o.Kind == cache.Stale {
		w.Header()["Warning"] = []string{`299 - "stale: ` + o.Why + `"`}
	}
}

// cacheStatus words an outcome. What holds a tag is a detail where it says no other.
func cacheStatus(o cache.Outcome) []string {
	value := statusOf(o)
	if o.Held == "" || o.Kind != cache.Hit && o.Kind != cache.Revalidated {
		return value
	}
	return []string{value[0] + "; detail=" + o.Held}
}

func statusOf(o cache.Outcome) []string {
	switch o.Kind {
	case cache.Hit:
		if o.TTL < 0 {
			return statusHit
		}
		return hitFor(o.TTL)
	case cache.Miss:
		if o.Stored {
			return statusStored
		}
		return statusMiss
	case cache.Collapsed:
		return statusCollapsed
	case cache.Revalidated:
		return statusRevalidated
	case cache.Stale:
		return []string{"larder; hit; detail=stale-" + o.Why}
	}
	return nil
}

// hitFor is the commonest value of all: it allocates no more than itself.
func hitFor(ttl time.Duration) []string {
	var stack [48]byte
	value := strconv.AppendInt(append(stack[:0], "larder; hit; ttl="...), int64(ttl/time.Second), 10)
	return []string{string(value)}
}

func outcomeName(k cache.Kind) string {
	switch k {
	case cache.Hit:
		return "hit"
	case cache.Miss:
		return "miss"
	case cache.Collapsed:
		return "collapsed"
	case cache.Revalidated:
		return "revalidated"
	case cache.Stale:
		return "stale"
	default:
		return "none"
	}
}
