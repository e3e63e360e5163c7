package faults

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// site is a process whose origins a test names.
type site struct {
	*process.Larder
}

// newSite starts a process with the configuration that the lines make. A process has no breaker, hold or remembered failure that
// another host's could disturb: tests that must not meet each other's use hosts of their own.
func newSite(t testing.TB, lines ...string) *site {
	t.Helper()
	l := process.NewUnconfigured(t)
	l.Write(t, "larder.yaml", strings.Join(lines, "\n"))
	l.Write(t, "repositories/none.yaml", "")
	l.Restart(t)
	return &site{l}
}

// newPlainSite starts a process by which process.Host is o.
func newPlainSite(t testing.TB, o *origin.Origin, lines ...string) *site {
	t.Helper()
	return newSite(t, append(append(lines, "registries:"), registry(process.Host, o))...)
}

// registry is the entry of the configuration by which host is o; more are further fields of it.
func registry(host string, o *origin.Origin, more ...string) string {
	return registryAt(host, o.URL(), append(more, "caFile: '"+o.CAFile()+"'")...)
}

func registryAt(host, url string, more ...string) string {
	lines := append([]string{"- host: " + host, "endpoints: ['" + url + "']"}, more...)
	return strings.Join(lines, "\n  ")
}

// url is the address of a repository, by the path form of its name.
func (s *site) url(host, repository string) string {
	return "http://" + s.Addr + "/v2/" + host + "/" + repository
}

// metric returns the value of a metric ("larder_fetch_failures_total{cause=\"no_room\"}"); 0 where it was never counted.
func (s *site) metric(t testing.TB, name string) float64 {
	t.Helper()
	a := ask(t, http.MethodGet, "http://"+s.Health+"/metrics")
	if a.err != nil || a.status != http.StatusOK {
		t.Errorf("asking for the metrics: %v", a)
	}
	lines := bufio.NewScanner(strings.NewReader(string(a.body)))
	for lines.Scan() {
		value, found := strings.CutPrefix(lines.Text(), name+" ")
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Errorf("metric %s: %v", name, err)
		}
		return n
	}
	return 0
}

// quiet waits until no transfer runs.
func (s *site) quiet(t testing.TB) {
	t.Helper()
	process.Eventually(t, "no transfer runs", func() bool { return s.metric(t, "larder_fetches_running") == 0 })
}

// megabytes is the memory of the process.
func (s *site) megabytes(t testing.TB) int {
	t.Helper()
	n := int(s.metric(t, "process_resident_memory_bytes") / (1 << 20))
	if n == 0 {
		t.Error("the metrics do not tell the memory of the process")
	}
	return n
}

// said fails the test unless the log holds a line with all of the words.
func (s *site) said(t testing.TB, words ...string) {
	t.Helper()
	process.Eventually(t, fmt.Sprintf("a line of the log with %q", words), func() bool {
		for line := range strings.Lines(s.Said()) {
			if containsAll(line, words) {
				return true
			}
		}
		return false
	})
}

func containsAll(s string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(s, word) {
			return false
		}
	}
	return true
}
