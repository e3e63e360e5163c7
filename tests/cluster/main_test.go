package cluster

import (
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/larder-dev/larder/tests/process"
	"github.com/larder-dev/larder/tests/s3"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard()) // the processes under test have their own
	os.Exit(process.Main(s3.Around(m)))
}
