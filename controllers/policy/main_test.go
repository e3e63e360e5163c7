package policy

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/larder-dev/larder/tests/kube"
)

// shared is a cluster whose objects are the tests' together: each has names of its own.
var shared *kube.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	cluster, err := kube.Start(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared = cluster
	code := m.Run()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
