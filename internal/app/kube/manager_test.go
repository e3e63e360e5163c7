package kube

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// sleeping is a cache whose watches sleep, whatever its context says.
type sleeping struct {
	cache.Cache
	wake chan struct{}
}

func (s sleeping) Start(context.Context) error {
	<-s.wake
	return errors.New("awake")
}

func TestCache_EndsAlthoughItsWatchesSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sleeping{wake: make(chan struct{})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := (endingCache{s}).Start(ctx); err != nil || time.Since(began) != time.Minute+stopCache {
			t.Errorf("it ended after %s with %v, want nil soon after its context", time.Since(began), err)
		}
		close(s.wake)
		if err := (endingCache{s}).Start(t.Context()); err == nil {
			t.Error("a cache that failed is taken for one that ended")
		}
	})
}
