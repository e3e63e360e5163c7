package e2e_test

import (
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

// always: a pod that resolves its tag at every start gets the newest; what is stored, without its origin; the origin's own, without a
// registry. The node's copy stays: it is the kubelet that asks again.
func (l *larder) always(t *testing.T) {
	const image = host + "/team/always:latest" // for which Always is the default
	l.install(t, "webhook.ignorePullPolicyAlways=false", "webhook.alwaysWithoutUpdateInterval=true")
	defer l.install(t)
	defer forget(t, []string{"always"}, image)
	apply(t, repository, "NAME", "always", "REPOSITORY", host+"/team/always", "INTERVAL", "0s")
	l.push(t, "team/always:latest", guests.Image("always 1"))
	starts(t, image, "always 1")
	l.push(t, "team/always:latest", guests.Image("always 2"))
	starts(t, image, "always 2")
	kubectl(t, "wait", cachedImage(t, image), "--for=condition=Ready", "--timeout=60s")

	l.origin.Refuse()
	starts(t, image, "always 2")
	l.origin.Heal()

	l.push(t, "team/always:latest", guests.Image("always 3"))
	scale(t, "statefulset/larder-registry", "registry", 0)
	defer scale(t, "statefulset/larder-registry", "registry", 1)
	starts(t, image, "always 3")
	l.report.note("%s, imagePullPolicy Always: the newest at each start, the stored one without its origin, the origin's own without the registry", image)
}

// starts runs a pod of an image through Larder, with the node's copy as it is, and checks which version it is.
func starts(t *testing.T, image, want string) {
	t.Helper()
	defer kubectl(t, "delete", "pod", "--namespace", "shop", "--now", "--wait", "always")
	got := run(t, "shop", "always", "IMAGE", image, "ARGS", "[version]")
	if got != want {
		t.Errorf("%s is %q, want %q", image, got, want)
	}
	if got := imageOf(t, "always"); got != front+image {
		t.Errorf("the pod has the image %s, want %s", got, front+image)
	}
}

// elsewhere: what pods call one name comes from another repository, without a change to any manifest.
func (l *larder) elsewhere(t *testing.T) {
	const image = "absent.example/library/web:1" // no DNS knows the host
	l.push(t, "hardened/web:1", guests.Image("hardened 1"))
	apply(t, elsewhere, "NAME", "web-hardened", "REPOSITORY", "absent.example/library/web", "ORIGIN", host+"/hardened/web")
	l.version(t, image, "hardened 1")
	kubectl(t, "wait", cachedImage(t, image), "--for=condition=Ready", "--timeout=60s")
	l.origin.Refuse()
	l.version(t, image, "hardened 1")
	l.origin.Heal()
	if n := l.origin.Count(origin.Manifests().In("hardened/web")); n == 0 {
		t.Error("the other repository was not asked")
	}
	l.report.note("%s: comes from %s/hardened/web", image, host)
}

const elsewhere = `
apiVersion: larder.dev/v1alpha1
kind: Repository
metadata: {name: NAME}
spec: {name: REPOSITORY, origin: ORIGIN}
`
