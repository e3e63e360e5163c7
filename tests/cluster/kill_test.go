package cluster

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

func TestKill_P1_NothingIsLostAndNothingIsTwice(t *testing.T) {
	t.Parallel()
	const seed, rounds = 4, 12
	rng := rand.New(rand.NewPCG(seed, rounds)) //nolint:gosec // a failure is to be seen again
	w := newWorld(t)
	o := origin.New(t)
	f := newFleet(t, w, o, 4, 5)
	o.Fail(origin.Blobs(), origin.Drip(256<<10)) // so that transfers are cut
	larder, controller := w.newRegistry(t, o), w.newController(t, "--leader-elect=false")
	larder.Start(t)
	controller.Start(t)
	for range rounds {
		for range 4 {
			f.add(t, rng)
		}
		moment := time.After(time.Duration(rng.IntN(700)) * time.Millisecond)
		for range 2 {
			f.remove(t, rng)
		}
		<-moment
		victims := [][]*process.Larder{{larder}, {controller}, {larder, controller}}[rng.IntN(3)]
		for _, l := range victims {
			l.Kill()
		}
		f.remove(t, rng) // nobody looks
		f.add(t, rng)
		for _, l := range victims {
			l.Start(t)
		}
	}
	f.settled(t)
	o.Heal()
	f.stored(t, larder, o)
}

func TestVolume_M3_ARegistryThatLostItsVolumeBringsEverythingBack(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a failure is to be seen again
	w := newWorld(t)
	o := origin.New(t)
	f := newFleet(t, w, o, 2, 3)
	larder, controller := w.newRegistry(t, o), w.newController(t, "--leader-elect=false")
	larder.Start(t)
	controller.Start(t)
	for range 8 {
		f.add(t, rng)
	}
	f.settled(t)

	larder.Kill()
	if err := os.RemoveAll(filepath.Join(larder.Dir, "larder-data")); err != nil {
		t.Fatal(err)
	}
	stopped := o.Fail(origin.Blobs(), origin.Hang())
	larder.Start(t)
	process.Eventually(t, "the status to say what is lost", func() bool {
		return !slices.ContainsFunc(f.objects(t), func(image v1alpha1.CachedImage) bool {
			return image.Status.Phase == v1alpha1.CachedImageReady || ptr.Deref(image.Status.IsCached, true)
		})
	})
	stopped.Heal()
	f.settled(t)
	f.stored(t, larder, o)
}

func TestLeader_TheOtherControllerTakesOver(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a failure is to be seen again
	w := newWorld(t)
	o := origin.New(t)
	f := newFleet(t, w, o, 2, 3)
	larder := w.newRegistry(t, o)
	replicas := []*process.Larder{w.newController(t), w.newController(t)}
	for _, l := range append(replicas, larder) {
		l.Start(t)
	}
	leader := func() *process.Larder {
		var found *process.Larder
		process.Eventually(t, "one controller to lead", func() bool {
			for _, l := range replicas {
				if _, metrics := l.GetHealth(t, "/metrics"); strings.Contains(string(metrics), `leader_election_master_status{name="larder-controller"} 1`) {
					found = l
				}
			}
			return found != nil
		})
		return found
	}
	f.add(t, rng)
	f.settled(t)

	killed := leader()
	killed.Kill()
	replicas = slices.DeleteFunc(replicas, func(l *process.Larder) bool { return l == killed })
	for range 4 {
		f.add(t, rng)
	}
	f.remove(t, rng)
	f.settled(t)
	if leader() == killed {
		t.Error("the one that was killed leads")
	}
}
