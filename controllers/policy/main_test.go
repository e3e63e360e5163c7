package policy

import (
	"os"
	"testing"

	"github.com/larder-dev/larder/tests/kube"
)

// shared is a cluster whose objects are the tests' together: each has names of its own.
var shared *kube.Cluster

func TestMain(m *testing.M) { os.Exit(kube.Main(m, &shared)) }
