package report

import (
	_ "embed"
	"fmt"
	"io"
	"strings"
	"text/template"
	"time"
)

//go:embed benchmarks.md.tmpl
var page string

// markdown is what the template is given.
type markdown struct {
	Report
	Plot string // the plot's file name, beside the page
}

// Markdown writes the report as a page that shows the plot.
func (r Report) Markdown(w io.Writer, plot string) error { return r.fill(w, page, plot) }

// fill writes the report by way of a template.
func (r Report) fill(w io.Writer, page, plot string) error {
	functions := template.FuncMap{"table": Row.table, "round": func(d time.Duration) time.Duration { return d.Round(time.Second) }}
	parsed, err := template.New("benchmarks").Funcs(functions).Parse(page)
	if err != nil {
		return fmt.Errorf("reading the template of the page: %w", err)
	}
	if err := parsed.Execute(w, markdown{r, plot}); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// Summary is one line for each target.
func (m markdown) Summary() string {
	var b strings.Builder
	b.WriteString("| row | what | target | Larder | met | others in the same run |\n|---|---|---|---|---|---|\n")
	for _, l := range m.summary() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", l.Row, l.What, l.Target, l.Figure, l.Met, l.Against)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// table has a line for each measure and a column for each server.
func (r Row) table() string {
	labels := r.labels()
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s |\n|---|%s\n", strings.Join(labels, " | "), strings.Repeat("---|", len(labels)))
	for _, m := range r.Measures {
		fmt.Fprintf(&b, "| %s |", m.name())
		for _, label := range labels {
			cell := ""
			if s := m.Find(label); s != nil {
				cell = m.figure(*s)
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}
