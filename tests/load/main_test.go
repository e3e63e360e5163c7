package load

import (
	"os"
	"testing"

	"github.com/larder-dev/larder/tests/process"
)

const host = process.Host

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// soaking says whether this is the long part.
func soaking() bool { return os.Getenv("LARDER_SOAK") != "" }

// scale is how much of something a test does: quick, or in the long part soak.
func scale(quick, soak int) int {
	if soaking() {
		return soak
	}
	return quick
}
