package serve

import (
	"net/http"
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
