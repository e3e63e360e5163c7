package conformance

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

func TestMain(m *testing.M) {
	if standIn := os.Getenv(standInEnv); standIn != "" {
		os.Exit(runStandIn())
	}
	os.Exit(process.Main(m))
}

// origins are the two kinds of registry that answer behind larder.
var origins = map[string][]origin.Option{
	"distribution, with the fallback tag": nil,
	"a registry with the referrers API":   {origin.WithReferrers()},
}

// state is what the cache and its origin are like when a case is asked.
type state struct {
	name    string
	refused int    // the status of what was never seen; 0: the origin answers
	code    string // and the code of that answer
	change  func(*origin.Origin)
}

// The states in which a process is asked, in this order. The first one begins with an empty store.
var states = []state{
	{name: "cold", change: func(*origin.Origin) {}},
	{name: "warm", change: func(*origin.Origin) {}},
	{name: "origin down", refused: http.StatusBadGateway, code: "UNAVAILABLE", change: func(o *origin.Origin) { o.Refuse() }},
	{name: "origin answers 429", refused: http.StatusTooManyRequests, code: "TOOMANYREQUESTS", change: limit},
}

const retryAfter = "7"

func limit(o *origin.Origin) {
	o.Heal()
	o.Fail(origin.Everything(), origin.Status(http.StatusTooManyRequests, "Retry-After", retryAfter))
}

// inEveryState runs test in the four states one after the other. Between them the process is started anew: what it remembers of
// failures is of this life only.
func (s *site) inEveryState(t *testing.T, test func(*testing.T, state)) {
	t.Helper()
	for i, st := range states {
		st.change(s.origin)
		if i > 0 {
			s.restart(t)
		}
		t.Run(st.name, func(t *testing.T) { test(t, st) })
	}
}

// restart lets the process end in its own time: what clients have may still be on its way to the disk.
func (s *site) restart(t *testing.T) {
	t.Helper()
	if err := s.larder.Signal(t, syscall.SIGTERM); err != nil {
		t.Fatalf("larder ended with %v", err)
	}
	s.larder.Start(t)
}

// everyTagChecked makes each request for a tag ask the origin: the worst case for an origin that fails.
const everyTagChecked = "updateInterval: 0s"

// forEveryOrigin runs test with each kind of origin, holding the same content.
func forEveryOrigin(t *testing.T, test func(*testing.T, *content)) {
	t.Parallel()
	for name, opts := range origins {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newContent(t, opts...))
		})
	}
}

func oneLine(body []byte) string { return strings.TrimSpace(string(body[:min(len(body), 200)])) }
