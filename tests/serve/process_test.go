package serve

import (
	"os"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

const host = process.Host

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// larder is a process that images are pulled through.
type larder struct{ *process.Larder }

func newLarder(t testing.TB, o *origin.Origin, config ...string) larder {
	t.Helper()
	return larder{process.New(t, o, config...)}
}
