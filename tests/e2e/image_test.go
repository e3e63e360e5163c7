package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

// rewritten: a pod's image is pulled through proxy and registry, once from its origin, and an object tells of it.
func (l *larder) rewritten(t *testing.T) {
	const image = host + "/team/web:1"
	pushed := l.push(t, "team/web:1", guests.Image("web 1", "serve", ":8080"))
	apply(t, web, "NAMESPACE", "shop", "IMAGE", image)
	kubectl(t, "wait", "--namespace", "shop", "deployment/web", "--for=condition=Available", "--timeout=120s")
	pods := strings.Fields(kubectl(t, "get", "pods", "--namespace", "shop", "--selector", "app=web", "--output", "name"))
	for _, pod := range pods {
		if got := imageOf(t, strings.TrimPrefix(pod, "pod/")); got != front+image {
			t.Errorf("%s has the image %s, want %s", pod, got, front+image)
		}
	}
	if got := kubectl(t, "get", "deployment", "--namespace", "shop", "web", "--output", "jsonpath={.spec.template.spec.containers[0].image}"); got != image {
		t.Errorf("the workload has the image %s, want it unchanged", got)
	}
	object := cachedImage(t, image)
	kubectl(t, "wait", object, "--for=condition=Ready", "--timeout=60s")
	kubectl(t, "wait", object, fmt.Sprintf("--for=jsonpath={.status.usedBy.count}=%d", len(pods)), "--timeout=60s")
	if got := kubectl(t, "get", object, "--output", "jsonpath={.status.digest}"); got != pushed.Digest.String() {
		t.Errorf("its digest is %s, want the origin's %s", got, pushed.Digest)
	}
	for _, blob := range pushed.Blobs {
		if got := l.origin.BytesSent(blob.Digest); got != blob.Size {
			t.Errorf("the origin sent %d bytes of a blob of %d, want it once", got, blob.Size)
		}
	}
	l.report.note("%s: pulled by the node through %s, %d pods, each blob once from its origin", image, front, len(pods))
}

// cachedImage waits for the object of an image, and returns its name for kubectl.
func cachedImage(t *testing.T, image string) string {
	t.Helper()
	var name string
	eventually(t, "the CachedImage of "+image, func(ctx context.Context) error {
		out, err := shared.Kubectl(ctx, "get", "cachedimages", "--output", `jsonpath={range .items[*]}{.spec.sourceImage} {.metadata.name}{"\n"}{end}`)
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			if source, found, _ := strings.Cut(strings.TrimSpace(line), " "); source == image {
				name = "cachedimage/" + found
				return nil
			}
		}
		return fmt.Errorf("there are only:\n%s", out)
	})
	return name
}

// outage: what Larder has, runs without its origin.
func (l *larder) outage(t *testing.T) {
	const image = host + "/team/web:1"
	kubectl(t, "scale", "--namespace", "shop", "deployment/web", "--replicas=0")
	gone(t, "shop", "app=web")
	forget(t, nil, image)
	l.origin.Refuse()
	defer l.origin.Heal()
	kubectl(t, "scale", "--namespace", "shop", "deployment/web", "--replicas=2")
	kubectl(t, "wait", "--namespace", "shop", "deployment/web", "--for=condition=Available", "--timeout=120s")
	l.report.note("%s: pulled again while its origin refuses connections", image)
}

// moved: a tag follows its origin as often as its Repository says.
func (l *larder) moved(t *testing.T) {
	const image = host + "/team/moving:stable"
	apply(t, repository, "NAME", "moving", "REPOSITORY", host+"/team/moving", "INTERVAL", "1h")
	l.push(t, "team/moving:stable", guests.Image("moving 1"))
	l.version(t, image, "moving 1")
	l.push(t, "team/moving:stable", guests.Image("moving 2"))
	l.version(t, image, "moving 1")
	kubectl(t, "patch", "repository/moving", "--type=merge", `--patch={"spec":{"updateInterval":"1s"}}`)
	eventually(t, "the tag to follow", func(context.Context) error {
		if got := l.run(t, image); got != "moving 2" {
			return fmt.Errorf("its version is %q", got)
		}
		return nil
	})
	l.report.note("%s: moved at its origin; followed once its interval was over, not before", image)
}

const repository = `
apiVersion: larder.dev/v1alpha1
kind: Repository
metadata: {name: NAME}
spec: {name: REPOSITORY, updateInterval: INTERVAL}
`

// version runs an image that the node has no copy of, and checks which it is.
func (l *larder) version(t *testing.T, image, want string) {
	t.Helper()
	if got := l.run(t, image); got != want {
		t.Errorf("%s is %q, want %q", image, got, want)
	}
}

// run pulls an image anew, runs it and returns what it says.
func (l *larder) run(t *testing.T, image string) string {
	t.Helper()
	defer forget(t, []string{"once"}, image)
	return run(t, "shop", "once", "IMAGE", image, "ARGS", "[version]")
}

// leftAlone: pods that want their origin get it.
func (l *larder) leftAlone(t *testing.T) {
	const image = host + "/team/alone:1"
	l.push(t, "team/alone:1", guests.Image("alone 1", "serve", ":8080"))
	for pod, spec := range map[string]string{
		"always":  `{"spec":{"containers":[{"name":"c","image":"IMAGE","imagePullPolicy":"Always"}]}}`,
		"ignored": `{"metadata":{"labels":{"larder.dev/image-caching-policy":"ignore"}},"spec":{"containers":[{"name":"c","image":"IMAGE"}]}}`,
	} {
		kubectl(t, "run", pod, "--namespace", "shop", "--image", image, "--overrides", strings.ReplaceAll(spec, "IMAGE", image))
		kubectl(t, "wait", "--namespace", "shop", "pod/"+pod, "--for=condition=Ready", "--timeout=60s")
		if got := imageOf(t, pod); got != image {
			t.Errorf("the pod %s has the image %s, want it unchanged", pod, got)
		}
		forget(t, []string{pod}, image)
	}
	if n := l.origin.Count(origin.Manifests().In("team/alone")); n < 2 {
		t.Errorf("the origin was asked %d times, want once for each pod at least", n)
	}
}

// revoked: a private image is pulled with the pod's secret, and still when that is worth nothing any more.
func (l *larder) revoked(t *testing.T) {
	const image = locked + "/team/secret:1"
	l.private.Push(t, "team/secret:1", guests.Image("secret 1"))
	kubectl(t, "create", "secret", "docker-registry", "alice", "--namespace", "shop", "--docker-server", locked,
		"--docker-username", "alice", "--docker-password", "sesame")
	kubectl(t, "patch", "serviceaccount/default", "--namespace", "shop", "--patch", `{"imagePullSecrets":[{"name":"alice"}]}`)
	l.version(t, image, "secret 1")
	kubectl(t, "wait", cachedImage(t, image), "--for=condition=Ready", "--timeout=60s")
	l.private.SetUsers()
	l.version(t, image, "secret 1")
	l.report.note("%s: pulled with the pod's secret, and again after its origin had revoked that", image)
}
