package serve

import (
	"net/http"
	"strings"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
	"github.com/larder-dev/larder/tests/sink"
)

func TestEvents_AreHeardAtLeastOnceInTheirOrder(t *testing.T) {
	t.Parallel()
	const image, path = process.Host + "/app:1", "/v2/" + process.Host + "/app/manifests/1"
	o := origin.New(t)
	o.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	to := sink.New(t)
	l := process.New(t, o, "updateInterval: 0s", "events: {sink: '"+to.URL+"', source: /larder/test}")
	pull := func() {
		t.Helper()
		if out, err := l.Run(t, "pull", image); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	pull()
	to.Hears(t, image, "mirrored")
	if e := to.All()[0]; e.Source() != "/larder/test" || e.Subject() != image {
		t.Errorf("it is %s of %s", e.Subject(), e.Source())
	}

	to.Down.Store(true)
	asked := to.Asked.Load()
	o.Push(t, "app:1", origin.RandomImage(1, 4<<10))
	pull()
	process.Eventually(t, "the sink to refuse an event", func() bool { return to.Asked.Load() > asked })
	l.Kill() // between the change and its delivery
	to.Down.Store(false)
	l.Start(t)
	to.Hears(t, image, "mirrored", "moved", "mirrored")

	gone := o.Fail(origin.Manifests(), origin.Status(http.StatusNotFound))
	l.Get(t, http.MethodGet, path)
	to.Hears(t, image, "mirrored", "moved", "mirrored", "gone")
	gone.Heal()
	process.Eventually(t, "the origin to be asked again", func() bool {
		l.Get(t, http.MethodGet, path)
		return len(to.Heard(image)) > 4
	})
	to.Hears(t, image, "mirrored", "moved", "mirrored", "gone", "back")
}

// Each type of event that the documentation has, but for what is of a cluster alone, and evictions: those take longer than a test waits.
func TestEvents_EachDocumentedTypeReachesASink(t *testing.T) {
	t.Parallel()
	const image, path = process.Host + "/app:1", "/v2/" + process.Host + "/app/manifests/1"
	o := origin.New(t)
	to := sink.New(t)
	l := newLarder(t, o, "updateInterval: 0s", "events: {sink: '"+to.URL+"'}")
	documented := sink.Documented(t, "../../docs/events.md")
	told := func(kind string, data map[string]string) {
		t.Helper()
		to.Await(t, image, kind, data)
		delete(documented, kind)
	}
	heals := func(fault *origin.Fault, status string) {
		t.Helper()
		fault.Heal()
		process.Eventually(t, "the origin to be asked again", func() bool {
			answer, _ := l.Get(t, http.MethodHead, path)
			return strings.Contains(answer.Header.Get("Cache-Status"), status)
		})
	}
	one, two := l.revisions(t, o)
	first, second := one.String(), two.String()
	told("mirrored", map[string]string{"digest": second})
	l.does(t, []string{"rollback", image})
	told("pinned", map[string]string{"digest": first, "previousDigest": second})
	told("stale", map[string]string{"digest": first, "upstreamDigest": second, "reason": "Pinned"})
	l.does(t, []string{"unpin", image})
	told("unpinned", map[string]string{"digest": second})
	told("moved", map[string]string{"digest": second, "previousDigest": first})

	down := o.Fail(origin.Manifests(), origin.Status(http.StatusInternalServerError))
	l.Get(t, http.MethodHead, path)
	to.Await(t, image, "stale", map[string]string{"digest": second, "reason": "OriginFailed"})
	heals(down, "fwd-status=200")
	told("current", map[string]string{"digest": second})
	gone := o.Fail(origin.Manifests(), origin.Status(http.StatusNotFound))
	l.Get(t, http.MethodHead, path)
	told("gone", map[string]string{"digest": second, "reason": "NotFound"})
	heals(gone, "fwd-status=200")
	told("back", map[string]string{"digest": second})

	l.Write(t, "repositories/app.yaml", repositoryYAML("app", "0s, immutableTags: [':1$']"))
	process.Eventually(t, "the policy to be in force", func() bool { return strings.Contains(l.Said(), "manifests changed") })
	moved := o.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	l.Get(t, http.MethodHead, path)
	told("held", map[string]string{"digest": second, "upstreamDigest": moved.Digest.String()})
	for _, elsewhere := range []string{"discovered", "evicted"} {
		delete(documented, elsewhere)
	}
	if len(documented) > 0 {
		t.Errorf("no test receives %v", documented)
	}
}
