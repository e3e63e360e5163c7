// Testapi builds the etcd, kube-apiserver and kubectl of the tests (see package tests/kube) where they are missing, and prints their
// folder: what KUBEBUILDER_ASSETS wants.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/larder-dev/larder/tests/kube"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := kube.Assets(ctx, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "testapi:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
