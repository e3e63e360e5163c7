package e2e_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/node"
	"github.com/larder-dev/larder/tests/origin"
)

// newOrigin starts a registry that containers reach too, and has containerd pull the images of host from it.
func newOrigin(t *testing.T, host string) *origin.Origin {
	t.Helper()
	o := origin.New(t, origin.WithAddress(net.JoinHostPort(node.IP, "0")))
	if err := shared.WriteHosts(host, o.URL()); err != nil {
		t.Fatal(err)
	}
	return o
}

// kubectl runs kubectl, and ends the test where it fails.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := shared.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// newNamespace makes a namespace that is gone after the test.
func newNamespace(t *testing.T, name string) {
	t.Helper()
	kubectl(t, "create", "namespace", name)
	t.Cleanup(func() {
		if _, err := shared.Kubectl(context.WithoutCancel(t.Context()), "delete", "namespace", name); err != nil {
			t.Error(err)
		}
	})
}

// apply makes objects of a manifest, with pairs of what it names and what that is.
func apply(t *testing.T, manifest string, pairs ...string) {
	t.Helper()
	if err := shared.Apply(t.Context(), strings.NewReplacer(pairs...).Replace(manifest)); err != nil {
		t.Fatal(err)
	}
}

const once = `
apiVersion: v1
kind: Pod
metadata: {name: POD, namespace: NAMESPACE}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  hostNetwork: ON_HOST
  dnsPolicy: ClusterFirstWithHostNet
  containers:
  - {name: once, image: "IMAGE", args: ARGS}
`

// run runs a pod to its end, and returns what it said. Pairs are those of the manifest once.
func run(t *testing.T, namespace, pod string, pairs ...string) string {
	t.Helper()
	apply(t, once, append([]string{"NAMESPACE", namespace, "POD", pod, "ON_HOST", "false"}, pairs...)...)
	done := "--for=jsonpath={.status.phase}=Succeeded"
	if _, err := shared.Kubectl(t.Context(), "wait", "--namespace", namespace, "pod/"+pod, done, "--timeout=60s"); err != nil {
		t.Fatalf("%v\n%s", err, kubectl(t, "describe", "pod", "--namespace", namespace, pod))
	}
	return kubectl(t, "logs", "--namespace", namespace, pod)
}
