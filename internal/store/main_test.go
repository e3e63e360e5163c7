package store

import (
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/larder-dev/larder/tests/leak"
	"github.com/larder-dev/larder/tests/s3"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"
)

// lockChild names the folder that a copy of the test binary locks until its standard input ends.
const lockChild = "LARDER_TEST_LOCK"

func TestMain(m *testing.M) {
	if dir := os.Getenv(lockChild); dir != "" {
		os.Exit(holdLock(dir))
	}
	logrus.SetOutput(io.Discard) // distribution's registry logs each request
	// Each of its instances keeps one goroutine for events that nothing stops.
	leak.Main(s3.Around(m), goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run"))
}

func holdLock(dir string) int {
	if _, err := Lock(dir); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}
