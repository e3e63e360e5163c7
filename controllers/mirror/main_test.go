package mirror_test

import (
	"os"
	"testing"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/go-logr/logr"

	"github.com/larder-dev/larder/tests/kube"
	"github.com/larder-dev/larder/tests/s3"
)

// cluster is shared: a test's objects carry a label of its own, and its registry sees no others.
var cluster *kube.Cluster

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(kube.Main(s3.Around(m), &cluster))
}
