package cleanup_test

import (
	"os"
	"testing"

	"github.com/larder-dev/larder/tests/kube"
)

// apiserver is shared.
var apiserver *kube.Cluster

func TestMain(m *testing.M) { os.Exit(kube.Main(m, &apiserver)) }
