package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/larder-dev/larder/hack/bench/internal/row"
)

// options are the command line.
type options struct {
	rounds int
	quick  bool
	rows   []row.Row
	out    string // the Markdown page; empty: none
	dir    string
	args   []string
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{args: args}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.IntVar(&o.rounds, "rounds", 3, "how often each figure is taken; what is shown is the median")
	set.BoolVar(&o.quick, "quick", false, "smaller and shorter: for a look, not for quoting")
	set.StringVar(&o.out, "out", "", "write a Markdown page there, and the plot beside it as .svg")
	set.StringVar(&o.dir, "dir", os.TempDir(), "where to put contents and stores; wants 4 GiB that are not memory")
	names := set.String("rows", "", "only these rows, with commas: "+strings.Join(rowNames(), ","))
	if err := set.Parse(args); err != nil {
		return options{}, err
	}
	switch {
	case set.NArg() > 0:
		return options{}, fmt.Errorf("unexpected argument %q", set.Arg(0))
	case o.rounds < 1:
		return options{}, fmt.Errorf("-rounds %d: write a number above 0", o.rounds)
	}
	var err error
	o.rows, err = chosen(*names)
	return o, err
}

func rowNames() []string {
	var names []string
	for _, r := range row.All() {
		names = append(names, r.Name)
	}
	return names
}

// chosen returns the rows with these names, in their own order; all where there is no name.
func chosen(names string) ([]row.Row, error) {
	if names == "" {
		return row.All(), nil
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.Contains(rowNames(), name) {
			return nil, fmt.Errorf("-rows: %q: write some of %s", name, strings.Join(rowNames(), ","))
		}
	}
	return slices.DeleteFunc(row.All(), func(r row.Row) bool { return !slices.Contains(wanted, r.Name) }), nil
}
