package kube

import (
	"context"
	"fmt"
	"os"
)

// Main runs a package's tests, which share a cluster, and returns the code to exit with.
func Main(m interface{ Run() int }, shared **Cluster) int {
	cluster, err := Start(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting a cluster:", err)
		return 1
	}
	*shared = cluster
	code := m.Run()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the cluster:", err)
		return 1
	}
	return code
}
