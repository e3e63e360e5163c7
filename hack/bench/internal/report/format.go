package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// number writes three digits, of what is very small two that mean something, and thousands with commas.
func number(v float64) string {
	size := math.Abs(v)
	switch {
	case size >= 999.5:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case size >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size > 0 && size < 0.0995:
		return strconv.FormatFloat(v, 'g', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

func thousands(digits string) string {
	digits, negative := strings.CutPrefix(digits, "-")
	var groups []string
	for len(digits) > 3 {
		groups = append(groups, digits[len(digits)-3:])
		digits = digits[:len(digits)-3]
	}
	groups = append(groups, digits)
	slices.Reverse(groups)
	text := strings.Join(groups, ",")
	if negative {
		text = "-" + text
	}
	return text
}

// whole writes a count.
func whole(v float64) string { return thousands(strconv.FormatFloat(v, 'f', 0, 64)) }

// spread writes a median, and the least and the largest value where they differ.
func (m Measure) spread(values []float64) string {
	number := number
	if m.Whole {
		number = whole
	}
	text := number(Median(values))
	if low, high := number(slices.Min(values)), number(slices.Max(values)); low != high {
		text += fmt.Sprintf(" (%s–%s)", low, high)
	}
	return text
}

// figure is what stands in a cell of a table.
func (m Measure) figure(s Series) string {
	if len(s.Values) == 0 {
		return s.Note
	}
	text := m.spread(s.Values)
	if ratios := m.Ratios(s); len(ratios) > 0 {
		text += fmt.Sprintf(" = %s ×", number(Median(ratios)))
	}
	return text
}

// name is what a measure is called, with its unit.
func (m Measure) name() string {
	if m.Unit == "" {
		return m.What
	}
	return m.What + ", " + m.Unit
}

// labels are those of all series of a row, in the order in which they first occur.
func (r Row) labels() []string {
	var labels []string
	for _, m := range r.Measures {
		for _, s := range m.Series {
			if !slices.Contains(labels, s.Label) {
				labels = append(labels, s.Label)
			}
		}
	}
	return labels
}

// judged is one line of the summary.
type judged struct {
	Row, What, Target, Figure, Against, Met string
}

func (r Report) summary() []judged {
	var lines []judged
	for _, row := range r.Rows {
		for _, m := range row.Measures {
			if m.Target != nil {
				lines = append(lines, m.judge(row))
			}
		}
	}
	return lines
}

func (m Measure) judge(row Row) judged {
	line := judged{Row: row.Title, What: m.name(), Target: m.Target.Text, Met: m.Verdict(), Figure: "–"}
	if values := m.Judged(); len(values) > 0 {
		line.Figure = m.spread(values)
		if m.Target.Ratio {
			line.Figure += " ×"
		}
	}
	var others []string
	for _, s := range m.Series[min(1, len(m.Series)):] {
		others = append(others, s.Label+" "+m.figure(s))
	}
	line.Against = strings.Join(others, "; ")
	return line
}
