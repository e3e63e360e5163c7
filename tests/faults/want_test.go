package faults

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// want is what becomes of a request that a fault strikes.
type want struct {
	name   string
	status int
	code   string // of the error body
	why    string // the reason in Cache-Status of a stale answer
	broken bool   // the connection breaks before the last byte
	empty  bool   // a list without an item
	later  bool   // first stale, and the new one once the check that runs on is answered
}

var (
	// whole is the origin's content, as if nothing had been.
	whole = want{name: "whole", status: http.StatusOK}
	// brokenOff is an answer whose client sees that it is not complete: or 502, where the end comes before the beginning is sent.
	brokenOff = want{name: "broken off", status: http.StatusOK, broken: true}

	badGateway = want{name: "502", status: http.StatusBadGateway, code: "UNAVAILABLE"}
	timedOut   = want{name: "504", status: http.StatusGatewayTimeout, code: "UNAVAILABLE"}
	limited    = want{name: "429", status: http.StatusTooManyRequests, code: "TOOMANYREQUESTS"}
	denied     = want{name: "403", status: http.StatusForbidden, code: "DENIED"}
	unknown    = want{name: "404", status: http.StatusNotFound}

	// nothing is an empty list.
	nothing = want{name: "an empty list", status: http.StatusOK, empty: true}
)

// stale is the stored copy, with the reason.
func stale(why string) want { return want{name: "stale-" + why, status: http.StatusOK, why: why} }

// late is the stored copy while the check takes too long, and what it brings when it is answered at last.
var late = want{name: "stale-timeout, then whole", status: http.StatusOK, why: "timeout", later: true}

func (w want) isWhole() bool { return w == whole }

// check holds an answer to the request for content of the digest dgst.
func (w want) check(t *testing.T, a answer, dgst digest.Digest) {
	t.Helper()
	if w.broken && a.status == badGateway.status {
		w = badGateway
	}
	switch {
	case a.status != w.status:
		t.Errorf("want %s, got %v", w.name, a)
	case w.broken:
		if a.err == nil {
			t.Errorf("want %s, got all of %v", w.name, a)
		}
	case w.status == http.StatusOK:
		if !a.holds(dgst) {
			t.Errorf("want %s and %s, got %v", w.name, dgst, a)
		}
		w.checkStale(t, a)
	default:
		w.checkRefusal(t, a)
	}
}

// checkStale holds an answer to what it says of its freshness.
func (w want) checkStale(t *testing.T, a answer) {
	t.Helper()
	status, warning := a.header.Get("Cache-Status"), a.header.Get("Warning")
	if w.why == "" {
		if warning != "" {
			t.Errorf("want %s, got %v with the warning %q", w.name, a, warning)
		}
		return
	}
	if status != "larder; hit; detail=stale-"+w.why || warning != `299 - "stale: `+w.why+`"` {
		t.Errorf("want %s, got %v with the warning %q", w.name, a, warning)
	}
}

// checkList holds an answer to the request for a list; now is what the origin has, before what it had when the list was stored.
func (w want) checkList(t *testing.T, a answer, now, before []string) {
	t.Helper()
	if w.status != http.StatusOK {
		w.check(t, a, "")
		return
	}
	if a.err != nil || a.status != w.status {
		t.Errorf("want %s, got %v", w.name, a)
		return
	}
	w.checkStale(t, a)
	items := now
	switch {
	case w.empty:
		items = nil
	case w.why != "":
		items = before
	}
	if diff := cmp.Diff(items, a.items(t)); diff != "" {
		t.Errorf("want %s, got %v, a list that differs:\n%s", w.name, a, diff)
	}
}

var unknownCodes = []string{"MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NAME_UNKNOWN"}

func (w want) checkRefusal(t *testing.T, a answer) {
	t.Helper()
	code := a.code()
	if w.status == http.StatusNotFound && slices.Contains(unknownCodes, code) {
		return
	}
	if a.err != nil || code == "" || code != w.code {
		t.Errorf("want %s with code %q, got %v", w.name, w.code, a)
	}
	if w.status != http.StatusTooManyRequests {
		return
	}
	if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 || n > retryAfter {
		t.Errorf("%v: got Retry-After %q, want the origin's %d or what is left of it", a, a.header.Get("Retry-After"), retryAfter)
	}
}
