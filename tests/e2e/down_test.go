package e2e_test

import (
	"strings"
	"testing"
)

// withoutRegistry: what was never pulled comes from its origin, through the proxy.
func (l *larder) withoutRegistry(t *testing.T) {
	const image = host + "/team/direct:1"
	l.push(t, "team/direct:1", guests.Image("direct 1"))
	scale(t, "statefulset/larder-registry", "registry", 0)
	defer scale(t, "statefulset/larder-registry", "registry", 1)
	l.version(t, image, "direct 1")
	l.report.note("%s: pulled through the proxy from its origin, without a registry", image)
}

// withoutController: pods are created as they are, and pull from their origin.
func (l *larder) withoutController(t *testing.T) {
	const image = host + "/team/plain:1"
	l.push(t, "team/plain:1", guests.Image("plain 1", "serve", ":8080"))
	scale(t, "deployment/larder-controller", "controller", 0)
	defer scale(t, "deployment/larder-controller", "controller", 2)
	kubectl(t, "run", "plain", "--namespace", "shop", "--image", image)
	kubectl(t, "wait", "--namespace", "shop", "pod/plain", "--for=condition=Ready", "--timeout=60s")
	if got := imageOf(t, "plain"); got != image {
		t.Errorf("the pod has the image %s, want it unchanged", got)
	}
	forget(t, []string{"plain"}, image)
}

// withoutAPIServer: what the node asks for, it gets.
func (l *larder) withoutAPIServer(t *testing.T) {
	kept, fresh := front+host+"/team/moving:stable", front+host+"/team/new:1"
	l.push(t, "team/new:1", guests.Image("new 1"))
	shared.StopAPIServer()
	for _, image := range []string{kept, fresh} {
		if out, err := shared.Crictl(t.Context(), "pull", image); err != nil {
			t.Errorf("pulling %s: %v %s", image, err, out)
		}
	}
	if err := shared.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.rolledOut(t)
	forget(t, nil, strings.TrimPrefix(kept, front), strings.TrimPrefix(fresh, front))
	l.version(t, host+"/team/new:1", "new 1")
}
