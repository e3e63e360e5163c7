package kube

import (
	"context"
	"os"

	"github.com/larder-dev/larder/tests/binary"
)

// Assets returns a folder with etcd, kube-apiserver and kubectl, and builds it where it is missing (see package binary); log tells of
// that. Where KUBEBUILDER_ASSETS names a folder, it is that one.
func Assets(ctx context.Context, log func(format string, args ...any)) (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	return binary.API.Build(ctx, log)
}
