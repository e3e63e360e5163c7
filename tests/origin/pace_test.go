package origin_test

import (
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/tests/origin"
)

// The rates below let a layer go in 200 ms. Tests hold the lower bound, less what a pace may catch up; a busy machine takes longer.
const (
	layerRate = 5 * layerSize
	soonest   = 150 * time.Millisecond
)

func TestDrip_LimitsEachAnswer(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, layerSize))
	o.Fail(origin.Blobs(), origin.Drip(layerRate))
	start := time.Now()
	if got := get(t, layerURL(o, img)); len(got.body) != layerSize || got.err != nil {
		t.Errorf("%d bytes, %v", len(got.body), got.err)
	}
	if took := time.Since(start); took < soonest {
		t.Errorf("took %v, want at least %v", took, soonest)
	}
}

func TestDripTotal_LimitsAllAnswersTogether(t *testing.T) {
	t.Parallel()
	const clients = 3
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, layerSize))
	o.Fail(origin.Blobs(), origin.DripTotal(clients*layerRate/2))
	start := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			if got := get(t, layerURL(o, img)); len(got.body) != layerSize || got.err != nil {
				t.Errorf("%d bytes, %v", len(got.body), got.err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took < 2*soonest {
		t.Errorf("took %v, want at least %v", took, 2*soonest)
	}
}

func TestDrip_EndsWhenHealed(t *testing.T) {
	t.Parallel()
	o := origin.New(t)
	img := o.Push(t, "a:1", origin.RandomImage(1, layerSize))
	drip := o.Fail(origin.Blobs(), origin.Drip(1)) // three days for the whole layer
	bodies := make(chan int, 1)
	go func() { bodies <- len(get(t, layerURL(o, img)).body) }()
	drip.Await(t, 1)
	drip.Heal()
	if n := <-bodies; n != layerSize {
		t.Errorf("%d bytes, want %d", n, layerSize)
	}
}
