package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Text writes the report for a terminal.
func (r Report) Text(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range r.Rows {
		fmt.Fprintf(table, "\n%s\n", row.Title)
		for _, m := range row.Measures {
			for _, s := range m.Series {
				fmt.Fprintf(table, "  %s\t%s\t%s\n", m.name(), s.Label, m.figure(s))
			}
		}
	}
	fmt.Fprintln(table, "\ntarget\tLarder\twanted\tmet")
	for _, line := range r.summary() {
		fmt.Fprintf(table, "%s: %s\t%s\t%s\t%s\n", line.Row, line.What, line.Figure, line.Target, line.Met)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(table, "note: %s\n", note)
	}
	return table.Flush()
}
