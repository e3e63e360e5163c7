package e2e_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

const volumes = `
apiVersion: v1
kind: Pod
metadata: {name: kinds, namespace: shop}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: "DIGEST"
    args: [serve, ':8080']
    volumeMounts: [{name: data, mountPath: /data}]
  volumes:
  - name: data
    image: {reference: "VOLUME"}
`

// kinds: images by digest, as volumes and of ephemeral containers.
func (l *larder) kinds(t *testing.T) {
	pushed := l.push(t, "team/kinds:1", guests.Image("kinds 1"))
	l.push(t, "team/data:1", guests.Image("data 1"))
	l.push(t, "team/tool:1", guests.Image("tool 1", "serve", ":8081"))
	digest, volume, tool := host+"/team/kinds@"+pushed.Digest.String(), host+"/team/data:1", host+"/team/tool:1"
	apply(t, volumes, "DIGEST", digest, "VOLUME", volume)
	kubectl(t, "wait", "--namespace", "shop", "pod/kinds", "--for=condition=Ready", "--timeout=120s")
	kubectl(t, "debug", "pod/kinds", "--namespace", "shop", "--image", tool, "--container", "debugger", "--profile", "general", "--attach=false")
	kubectl(t, "wait", "--namespace", "shop", "pod/kinds", "--timeout=120s",
		`--for=jsonpath={.status.ephemeralContainerStatuses[0].state.running.startedAt}`)
	for path, want := range map[string]string{
		"{.spec.containers[0].image}":          digest,
		"{.spec.volumes[0].image.reference}":   volume,
		"{.spec.ephemeralContainers[0].image}": tool,
	} {
		if got := kubectl(t, "get", "pod", "--namespace", "shop", "kinds", "--output", "jsonpath="+path); got != front+want {
			t.Errorf("%s is %s, want %s", path, got, front+want)
		}
		kubectl(t, "wait", cachedImage(t, want), "--for=condition=Ready", "--timeout=60s")
	}
	if got := kubectl(t, "exec", "--namespace", "shop", "kinds", "--", "/guest", "cat", "/data/version"); got != "data 1" {
		t.Errorf("the volume has %q, want the image's file", got)
	}
	forget(t, []string{"kinds"}, digest, volume, tool)
	l.report.note("by digest, as a volume, in an ephemeral container: pulled through %s", front)
}

// killed: a pull goes on when the registry does not.
func (l *larder) killed(t *testing.T) {
	const size, rate = 48 << 20, 8 << 20
	image := host + "/team/large:1"
	pushed := l.push(t, "team/large:1", guests.Large("large 1", size))
	large := pushed.Blobs[len(pushed.Blobs)-1]
	slow := l.origin.Fail(origin.Blobs().Of(large.Digest.String()), origin.Drip(rate))
	defer slow.Heal()
	kubectl(t, "run", "large", "--namespace", "shop", "--image", image, "--", "serve", ":8080")
	eventually(t, "the pull to be on its way", func(context.Context) error {
		if sent := l.origin.BytesSent(large.Digest); sent < rate {
			return fmt.Errorf("%d bytes were sent", sent)
		}
		return nil
	})
	if sent := l.origin.BytesSent(large.Digest); sent >= large.Size {
		t.Fatalf("all %d bytes were sent before the registry could be killed", sent)
	}
	kubectl(t, "delete", "pod", "--namespace", system, "larder-registry-0", "--grace-period=0", "--force")
	kubectl(t, "wait", "--namespace", "shop", "pod/large", "--for=condition=Ready", "--timeout=180s")
	if got := kubectl(t, "get", "events", "--namespace", "shop", "--field-selector", "involvedObject.name=large,reason=Failed", "--output", "name"); got != "" {
		t.Errorf("the kubelet had to pull more than once: %s", kubectl(t, "get", "events", "--namespace", "shop", "--field-selector", "involvedObject.name=large"))
	}
	kubectl(t, "rollout", "status", "--namespace", system, "statefulset/larder-registry", "--timeout=120s")
	forget(t, []string{"large"}, image)
	l.report.note("%s: the registry was killed in the middle of its pull, which finished; %.2f times its size from the origin",
		image, float64(l.origin.BytesSent(large.Digest))/float64(large.Size))
}
