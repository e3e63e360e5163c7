package faults

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
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
	s := &site{l}
	s.configure(t, lines...)
	s.Restart(t)
	return s
}

// configure writes a configuration for the next start. Where the lines do not say otherwise, no check is late.
func (s *site) configure(t testing.TB, lines ...string) {
	t.Helper()
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "checkTimeout:") }) {
		lines = append(slices.Clip(lines), "checkTimeout: "+patience)
	}
	s.Write(t, "larder.yaml", strings.Join(lines, "\n"))
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

// served is how many requests the process has answered.
func (s *site) served(t testing.TB) int { return int(s.sum(t, "larder_requests_total{")) }

// metric returns the value of a metric ("larder_fetch_failures_total{cause=\"no_room\"}"); 0 where it was never counted.
func (s *site) metric(t testing.TB, name string) float64 { return s.sum(t, name+" ") }

// sum adds up the metrics whose lines begin so.
func (s *site) sum(t testing.TB, prefix string) float64 {
	t.Helper()
	var sum float64
	a := ask(t, http.MethodGet, "http://"+s.Health+"/metrics")
	if a.err != nil || a.status != http.StatusOK {
		t.Errorf("asking for the metrics: %v", a)
	}
	lines := bufio.NewScanner(strings.NewReader(string(a.body)))
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), prefix) {
			continue
		}
		value := lines.Text()[strings.LastIndex(lines.Text(), " ")+1:]
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Errorf("metric %s: %v", lines.Text(), err)
		}
		sum += n
	}
	return sum
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
