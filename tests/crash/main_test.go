package crash

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/larder-dev/larder/tests/process"
)

const host = process.Host

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// scale is how much of something a test does: quick, or in the long part soak.
func scale(quick, soak int) int {
	if os.Getenv("LARDER_SOAK") != "" {
		return soak
	}
	return quick
}

// seed is what a test chooses by; the log says it.
func seed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("LARDER_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("LARDER_SEED: %v", err)
		}
	}
	t.Logf("LARDER_SEED=%d", seed)
	return seed
}
