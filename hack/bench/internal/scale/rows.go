package scale

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/audit"
	"github.com/larder-dev/larder/hack/bench/internal/process"
	"github.com/larder-dev/larder/hack/bench/internal/report"
)

// The parts of a run.
const (
	partBurst  = "all pods at once"
	partSingle = "pods one at a time"
	partHealth = "every pod gets to run"
	partSteady = "nothing happens"
)

// none is what must not be.
var none = &report.Target{Text: "none"}

// rows are filled while the parts run.
type rows struct {
	o                         Options
	times, uses, wrotes, anew report.Row
}

func newRows(o Options) *rows {
	return &rows{o: o, times: timesRow(o), uses: usesRow(o), wrotes: writesRow(o), anew: againRow()}
}

func (r *rows) all() []report.Row {
	slices.SortStableFunc(r.times.Measures, byName)
	slices.SortStableFunc(r.wrotes.Measures, byName)
	return []report.Row{r.times, r.uses, r.wrotes, r.anew}
}

func byName(a, b report.Measure) int { return strings.Compare(a.What, b.What) }

// measure returns a row's measure of that name, a new one where there is none.
func measure(row *report.Row, what, unit string) *report.Measure {
	i := slices.IndexFunc(row.Measures, func(m report.Measure) bool { return m.What == what && m.Unit == unit })
	if i < 0 {
		i = len(row.Measures)
		row.Measures = append(row.Measures, report.Measure{What: what, Unit: unit})
	}
	return &row.Measures[i]
}

// count is measure for whole numbers; target may be nil.
func count(row *report.Row, what, label string, n int, target *report.Target) {
	m := measure(row, what, "")
	m.Whole, m.Target = true, target
	m.Add(label, float64(n))
}

func (r *rows) created(created, steady time.Duration) {
	measure(&r.times, "all pods created", "s").Add(partBurst, created.Seconds())
	measure(&r.times, "everything right, after the first pod", "s").Add(partBurst, steady.Seconds())
}

func (r *rows) latencies(part string, found []latency) {
	for what, pick := range map[string]func(latency) time.Duration{
		"from a pod to its CachedImage":       func(l latency) time.Duration { return l.seen },
		"from a pod to its image being Ready": func(l latency) time.Duration { return l.ready },
	} {
		values := make([]float64, 0, len(found))
		for _, l := range found {
			values = append(values, pick(l).Seconds()*1000)
		}
		slices.Sort(values)
		measure(&r.times, what+", p50", "ms").Add(part, values[len(values)/2])
		measure(&r.times, what+", p99", "ms").Add(part, values[len(values)*99/100])
	}
}

func (r *rows) used(part string, usages map[string]process.Usage) {
	for _, name := range []string{"larder-controller", "larder-registry"} {
		u := usages[name]
		if part == partSteady {
			measure(&r.uses, part+": CPU in a minute", "ms").Add(name, u.CPU.Seconds()*1000/u.Wall.Minutes())
		} else {
			measure(&r.uses, part+": CPU", "s").Add(name, u.CPU.Seconds())
			measure(&r.uses, part+": peak anonymous RSS", "MiB").Add(name, float64(u.Peak)/(1<<20))
		}
	}
}

func (r *rows) rests(name string, anon int64) {
	measure(&r.uses, partSteady+": anonymous RSS at its end", "MiB").Add(name, float64(anon)/(1<<20))
}

// wrote counts what was written in a part; updates is how many objects changed by it, stamps how many of these by mere timestamps.
func (r *rows) wrote(part string, requests []audit.Request, updates, stamps int) {
	found := writes(requests)
	switch part {
	case partSteady:
		count(&r.wrotes, "writes while nothing happens, but for Lease and timestamps", part, len(found)-stamps, none)
	case partHealth:
		count(&r.wrotes, "writes because pods run, but for Lease and timestamps", part, len(found)-stamps, none)
	}
	count(&r.wrotes, "all writes, but for the Lease", part, len(found), nil)
	count(&r.wrotes, "patches of mere timestamps", part, stamps, nil)
	count(&r.wrotes, "patches that changed nothing", part, idle(requests, updates), nil)
	for _, request := range requests {
		if request.Write() {
			m := measure(&r.wrotes, kind(request), "")
			if m.Whole = true; m.Find(part) == nil {
				m.Add(part, 0)
			}
			m.Find(part).Values[0]++
		}
	}
}

// idle is how many patches of Larder's objects were answered well and changed none.
func idle(requests []audit.Request, updates int) int {
	patches := 0
	for _, r := range requests {
		ours := strings.HasPrefix(r.Resource, "cachedimages") || strings.HasPrefix(r.Resource, "repositories")
		if ours && r.Verb == "patch" && r.Code < 300 {
			patches++
		}
	}
	return patches - updates
}

// kind is who wrote what, and how that ended where it did not end well.
func kind(r audit.Request) string {
	agent, _, _ := strings.Cut(r.Agent, "/")
	if strings.HasSuffix(r.Agent, "/leader-election") { // it comes under the name of its library
		agent = r.User + "'s leader election"
	}
	text := fmt.Sprintf("%s: %s %s", agent, r.Verb, r.Resource)
	if r.Code >= 300 {
		text += fmt.Sprintf(" (%d)", r.Code)
	}
	return text
}

func (r *rows) restarted(label string, a again) {
	count(&r.anew, "writes to others than the new pod's objects, but for Lease and timestamps", label, a.writes, none)
	measure(&r.anew, "from exec to the first answer", "s").Add(label, a.answers.Seconds())
	measure(&r.anew, "from exec to the CachedImage of a new pod", "s").Add(label, a.seen.Seconds())
	measure(&r.anew, "from exec to that being Ready", "s").Add(label, a.ready.Seconds())
	measure(&r.anew, "CPU until it is quiet", "s").Add(label, a.usage.CPU.Seconds())
	measure(&r.anew, "peak anonymous RSS", "MiB").Add(label, float64(a.usage.Peak)/(1<<20))
}

// killedRow tells of the run with kills, which ended well.
func killedRow(o Options, killed map[string]int, requests []audit.Request, updates int) report.Row {
	row := newKilledRow(o)
	for _, name := range []string{"larder-controller", "larder-registry"} {
		count(&row, "kills", name, killed[name], nil)
		ofName := func(r audit.Request) bool { return r.User != name }
		count(&row, "writes", name, len(slices.DeleteFunc(writes(requests), ofName)), nil)
	}
	count(&row, "patches that changed nothing", "both", idle(requests, updates), nil)
	count(&row, "lost or duplicated", "both", 0, none)
	return row
}
