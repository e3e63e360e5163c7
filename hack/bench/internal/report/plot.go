package report

import (
	"bufio"
	"fmt"
	"html"
	"io"
)

// Sizes in the plot, in pixels.
const (
	plotWidth  = 960
	nameWidth  = 190
	barWidth   = 500
	barHeight  = 16
	barStep    = 22
	panelSpace = 46
)

const (
	ours   = "#2563a8"
	theirs = "#9aa5b1"
	aim    = "#c2410c"
)

// Plot writes an SVG: a panel for each measure that is to be plotted, a bar for each server, a line where a target lies.
func (r Report) Plot(w io.Writer) error {
	panels := r.panels()
	height := 10
	for _, p := range panels {
		height += panelSpace + barStep*len(p.bars)
	}
	d := &drawing{w: bufio.NewWriter(w)}
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`, plotWidth, height)
	d.printf(`<rect width="%d" height="%d" fill="#ffffff"/>`, plotWidth, height)
	y := 10
	for _, p := range panels {
		d.panel(p, y)
		y += panelSpace + barStep*len(p.bars)
	}
	d.printf(`</svg>`)
	return d.w.Flush()
}

// panel is one measure, ready to be drawn.
type panel struct {
	title string
	bars  []bar
	limit float64 // 0: no line
	most  float64
}

type bar struct {
	label, text string
	value       float64
	ours        bool
}

func (r Report) panels() []panel {
	var panels []panel
	for _, row := range r.Rows {
		for _, m := range row.Measures {
			if m.Plot && len(m.Series) > 0 {
				panels = append(panels, m.panel(row))
			}
		}
	}
	return panels
}

func (m Measure) panel(row Row) panel {
	p := panel{title: row.Title + ": " + m.name()}
	if m.Target != nil {
		p.title += " (target: " + m.Target.Text + ")"
		p.limit = m.Target.Limit
		if base := m.Find(m.Base); m.Target.Ratio && base != nil {
			p.limit *= Median(base.Values)
		}
	}
	p.most = p.limit
	for i, s := range m.Series {
		b := bar{label: s.Label, text: s.Note, ours: i == 0}
		if len(s.Values) > 0 {
			b.value, b.text = Median(s.Values), m.figure(s)
		}
		p.most = max(p.most, b.value)
		p.bars = append(p.bars, b)
	}
	return p
}

type drawing struct {
	w *bufio.Writer
}

// printf writes a line; an error stays with the writer until Flush.
func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(d.w, format+"\n", args...) }

func (d *drawing) panel(p panel, y int) {
	d.printf(`<text x="10" y="%d" font-weight="bold">%s</text>`, y+16, html.EscapeString(p.title))
	top := y + 26
	scale := func(v float64) int {
		if p.most <= 0 {
			return 0
		}
		return int(max(v, 0) / p.most * barWidth)
	}
	for i, b := range p.bars {
		at := top + i*barStep
		fill := theirs
		if b.ours {
			fill = ours
		}
		length := scale(b.value)
		d.printf(`<text x="%d" y="%d" text-anchor="end">%s</text>`, nameWidth-8, at+13, html.EscapeString(b.label))
		d.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`, nameWidth, at, max(length, 1), barHeight, fill)
		d.text(nameWidth+length+6, at+13, b.text)
	}
	if p.limit > 0 {
		x := nameWidth + scale(p.limit)
		d.printf(`<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="2" stroke-dasharray="4 3"/>`,
			x, top-4, x, top+len(p.bars)*barStep-2, aim)
	}
}

// text writes over a halo, so that the line of a target may run behind it.
func (d *drawing) text(x, y int, text string) {
	d.printf(`<text x="%d" y="%d" stroke="#ffffff" stroke-width="3" paint-order="stroke">%s</text>`, x, y, html.EscapeString(text))
}
