package faults

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/larder-dev/larder/tests/process"
)

// atOnce is how many tests run at a time, where the command line does not say it: most of them wait for a timeout.
const atOnce = "16"

func TestMain(m *testing.M) {
	flag.Parse()
	if !given("test.parallel") {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(process.Main(m))
}

func given(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}
