package kube

import (
	"context"
	"os"
	"strings"

	"github.com/larder-dev/larder/tests/built"
)

// release is the version of Kubernetes that hack/devcluster/go.mod pins.
const release = "1.36.3"

// Assets returns a folder with etcd, kube-apiserver and kubectl, and builds it where it is missing; log tells of it.
func Assets(ctx context.Context, log func(format string, args ...any)) (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	const server, client = "k8s.io/component-base/version.", "k8s.io/client-go/pkg/version."
	minor := strings.Split(release, ".")[1]
	return built.Program{
		Name: "envbin", Module: "devcluster", Package: "./envbin", Sources: []string{"envbin/main.go"},
		LDFlags: []string{"-X", server + "gitVersion=v" + release, "-X", server + "gitMajor=1", "-X", server + "gitMinor=" + minor,
			"-X", client + "gitVersion=v" + release},
		Links: []string{"etcd", "kube-apiserver", "kubectl"},
	}.Folder(ctx, log)
}
