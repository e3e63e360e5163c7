// Package report is what was measured, and how it is shown: as text, as Markdown and as a plot. It measures nothing.
package report

import (
	"slices"
	"time"
)

// Report is one run of the benchmark.
type Report struct {
	Command string
	Machine Machine
	Began   time.Time
	Took    time.Duration
	Rounds  int
	Rows    []Row
	Notes   []string // what was left out, and why
}

// Machine is where it ran.
type Machine struct {
	CPU, Kernel, Go string
	Cores           int
	LoadBefore      string // load average over 1 min
	Distribution    string // its version
}

// Row is a row of the table of targets, or one beside them.
type Row struct {
	Name     string // what -rows calls it
	Title    string
	How      string // how it is measured
	Measures []Measure
}

// Measure is one quantity, taken of several servers.
type Measure struct {
	What   string
	Unit   string
	Base   string // the label of the series that ratios are to; empty: none
	Target *Target
	Plot   bool
	Whole  bool // the values are counts
	Series []Series
}

// Series are the values of one server, one a round. Where there is nothing to measure, the note says why.
type Series struct {
	Label  string
	Values []float64
	Note   string
}

// Target is what the first series of a measure must reach.
type Target struct {
	Text    string
	Ratio   bool // of the ratio to the base, not of the value
	AtLeast bool // else at most
	Limit   float64
	Floor   string // the label of a series that does the least that can be done: where it misses the limit too, the machine is too slow
}

// met says whether the middle of some values reaches the limit.
func (t *Target) met(values []float64) bool {
	if t.AtLeast {
		return Median(values) >= t.Limit
	}
	return Median(values) <= t.Limit
}

// Add adds a value to the series with that label.
func (m *Measure) Add(label string, value float64) {
	s := m.series(label)
	s.Values = append(s.Values, value)
}

// Note says why the series with that label has no values.
func (m *Measure) Note(label, note string) { m.series(label).Note = note }

func (m *Measure) series(label string) *Series {
	i := slices.IndexFunc(m.Series, func(s Series) bool { return s.Label == label })
	if i < 0 {
		i = len(m.Series)
		m.Series = append(m.Series, Series{Label: label})
	}
	return &m.Series[i]
}

// Find returns the series with that label; nil where there is none.
func (m Measure) Find(label string) *Series {
	for i := range m.Series {
		if m.Series[i].Label == label {
			return &m.Series[i]
		}
	}
	return nil
}

// Ratios are a series' values by those of the base, round by round: what disturbed a round disturbed both.
func (m Measure) Ratios(s Series) []float64 {
	base := m.Find(m.Base)
	if base == nil || base.Label == s.Label {
		return nil
	}
	var ratios []float64
	for i := range min(len(s.Values), len(base.Values)) {
		if base.Values[i] != 0 {
			ratios = append(ratios, s.Values[i]/base.Values[i])
		}
	}
	return ratios
}

// Judged is the figure that a target is about: of the first series, the ratio or the value.
func (m Measure) Judged() []float64 {
	if len(m.Series) == 0 {
		return nil
	}
	if m.Target != nil && m.Target.Ratio {
		return m.Ratios(m.Series[0])
	}
	return m.Series[0].Values
}

// Verdict says whether the target is met: "yes", "no", or "not measured"; after a "no", whether the floor misses it too.
func (m Measure) Verdict() string {
	judged := m.Judged()
	switch floor := m.Find(m.Target.Floor); {
	case len(judged) == 0:
		return "not measured"
	case m.Target.met(judged):
		return "yes"
	case floor != nil && len(floor.Values) > 0 && !m.Target.met(floor.Values):
		return "no: out of reach of " + floor.Label + " too"
	default:
		return "no"
	}
}

// Median returns the middle value; of an even number of values the mean of the two in the middle.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
