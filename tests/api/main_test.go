package api_test

import (
	"os"
	"testing"

	"github.com/larder-dev/larder/tests/kube"
)

// cluster is shared: a test's objects carry a name of its own, and go with it.
var cluster *kube.Cluster

func TestMain(m *testing.M) { os.Exit(kube.Main(m, &cluster)) }
