package rewrite

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/larder-dev/larder/internal/rewrite"
)

// show prints a table of a pod's images, and below it each reason in a person's words.
func show(w io.Writer, p pod, d rewrite.Decision) error {
	var reasons []rewrite.Reason
	seen := map[rewrite.Reason]bool{}
	explain := func(reason rewrite.Reason) {
		if reason != "" && !seen[reason] {
			seen[reason] = true
			reasons = append(reasons, reason)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s in namespace %s\n", p.kind, p.name, p.namespace)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  CONTAINER\tIMAGE\tWHAT HAPPENS")
	explain(d.Pod)
	for _, v := range d.Images {
		what := "becomes " + v.Rewritten
		if v.Reason != "" {
			what = "left alone: " + string(v.Reason)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", v.Container, v.Image, what)
		explain(v.Reason)
	}
	_ = table.Flush() // a builder takes everything
	for _, reason := range reasons {
		fmt.Fprintf(&b, "  %s: %s\n", reason, reason.Explain())
	}
	_, err := io.WriteString(w, b.String())
	return err
}
