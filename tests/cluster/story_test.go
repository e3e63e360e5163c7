package cluster

import (
	"net/http"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// TestStory_FromPodToExpiry is the life of an image as a person sees it with kubectl. Nobody pulls but where it says so: a pod is enough.
func TestStory_FromPodToExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	first := o.Push(t, "team/app:v1", origin.RandomImage(2, 3<<20))
	larder, controller := w.newRegistry(t, o), w.newController(t, "--expiry-delay", "15s", "--expiry-grace", "15s") // kubectl takes seconds where many run
	larder.Start(t)
	controller.Start(t)

	slow := o.Fail(origin.Blobs(), origin.Drip(64<<10)) // until it has been seen
	w.pod(t, "app", []string{app})
	image := "ci/" + w.awaitImage(t, app).Name
	w.wait(t, image, "{.status.phase}=Mirroring")
	w.wait(t, image, "{.status.progress}")
	slow.Heal()
	w.kubectl(t, "wait", image, "--for=condition=Ready", "--timeout=1m")
	w.wait(t, image, "{.status.digest}="+first.Digest.String())
	w.wait(t, image, "{.status.size}=7Mi")
	w.wait(t, image, "{.status.usedBy.count}=1")
	w.wait(t, image, "{.status.usedBy.pods[0].namespacedName}=default/app")
	repo := "repo/" + w.kubectl(t, "get", "repo", "-o=jsonpath={.items[*].metadata.name}")
	w.wait(t, repo, "{.spec.name}=reg.example/team/app")
	w.wait(t, repo, "{.status.images}=1")

	second := o.Push(t, "team/app:v1", origin.RandomImage(2, 1<<20))
	w.served(t, larder, first) // the tag has no policy
	w.kubectl(t, "annotate", image, "larder.dev/refresh=now")
	w.wait(t, image, "{.status.lastHandledRefresh}=now")
	w.wait(t, image, "{.status.digest}="+second.Digest.String())
	w.kubectl(t, "wait", image, "--for=condition=UpToDate", "--timeout=1m")
	w.wait(t, image, "{.status.phase}=Ready")
	w.wait(t, image, "{.status.size}=3Mi")
	w.served(t, larder, second)

	w.kubectl(t, "patch", "pod", "app", "--subresource=status", "--type=merge", `--patch={"status":{"phase":"Succeeded"}}`)
	w.wait(t, image, "{.status.usedBy.count}=0")
	w.wait(t, image, "{.spec.expiresAt}")
	w.pod(t, "again", []string{app})
	w.kubectl(t, "wait", image, "--for=condition=InUse", "--timeout=1m")
	if at := w.kubectl(t, "get", image, "-o=jsonpath={.spec.expiresAt}"); at != "" {
		t.Errorf("it expires at %s although a pod uses it", at)
	}
	w.kubectl(t, "delete", "pod", "again", "--grace-period=0", "--force")
	w.wait(t, image, "{.status.phase}=Expiring")
	w.kubectl(t, "wait", image, "--for=delete", "--timeout=1m")
	w.wait(t, repo, "{.status.images}=0")
	process.Eventually(t, "the events of its life", func() bool {
		told := w.kubectl(t, "get", "events", "-o=jsonpath={.items[*].reason}")
		return strings.Contains(told, "Mirrored") && strings.Contains(told, "TagMoved") && strings.Contains(told, "Refreshed") &&
			strings.Contains(told, "Untagged")
	})

	o.Refuse()
	w.served(t, larder, second) // untagged, and there for the case that the origin cannot help until it is swept (M4)
	o.Heal()
	third := o.Push(t, "team/app:v1", origin.RandomImage(1, 4<<10))
	process.Eventually(t, "the origin to be asked for what is untagged", func() bool {
		got, _ := larder.Get(t, http.MethodHead, private)
		return got.Header.Get("Docker-Content-Digest") == third.Digest.String()
	})
}
