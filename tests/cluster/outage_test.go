package cluster

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

func TestOutage_PullsGoOnWithoutTheAPIServerAndTheStatusCatchesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := origin.New(t)
	first := o.Push(t, "team/app:v1", origin.RandomImage(1, 64<<10))
	larder, controller := w.newRegistry(t, o), w.newController(t, "--leader-elect=false")
	larder.Start(t)
	controller.Start(t)
	create(t, w, repository("team", v1alpha1.RepositorySpec{Name: process.Host + "/team/app", UpdateInterval: "0s"}))
	old := w.pod(t, "old", []string{app})
	w.awaitReady(t, app)
	process.Eventually(t, "the registry to remember its policies", func() bool {
		content, err := os.ReadFile(filepath.Join(larder.Dir, "larder-data", "policies.json"))
		return err == nil && strings.Contains(string(content), app) && strings.Contains(string(content), "0s")
	})

	restore := w.Outage(t)
	w.served(t, larder, first)
	w.served(t, larder, o.Push(t, "team/app:v1", origin.RandomImage(1, 64<<10)))
	larder.Restart(t)
	controller.Restart(t)
	if got, _ := larder.GetHealth(t, "/readyz"); got.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %d, want 200", got.StatusCode)
	}
	process.Eventually(t, "it to say by which policies it serves", func() bool {
		return strings.Contains(larder.Said(), "policies are the last known ones")
	})
	last := o.Push(t, "team/app:v1", origin.RandomImage(1, 64<<10))
	w.served(t, larder, last) // asked for at each pull, as the Repository has it
	larder.Settle(t)
	o.Refuse()
	w.served(t, larder, last)
	o.Heal()

	o.Push(t, "team/app:v2", origin.RandomImage(1, 64<<10))
	const newer = process.Host + "/team/app:v2"
	w.pod(t, "newer", []string{newer})
	if err := w.Delete(t.Context(), old, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	restore()
	w.awaitReady(t, newer)
	process.Eventually(t, "the status to tell what happened meanwhile", func() bool {
		s := w.image(t, app).Status
		return s.Digest == last.Digest.String() && s.Phase == v1alpha1.CachedImageReady && s.UsedBy != nil && s.UsedBy.Count == 0
	})
}

func TestOutage_AProcessThatWaitsForTheAPIServerEndsWhenAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Outage(t)
	larder, controller := w.newRegistry(t, origin.New(t)), w.newController(t)
	for _, l := range []*process.Larder{larder, controller} {
		l.Start(t)
		process.Eventually(t, "it to try", func() bool { return strings.Contains(l.Said(), "the API server does not answer") })
		if err := l.Signal(t, syscall.SIGTERM); err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
}
