package store

import (
	"errors"
	"testing"
)

// TestShared_NothingIsSweptWhereOthersMayWrite holds that a sweep, which knows of this process's writers alone, deletes only where there are
// no others.
func TestShared_NothingIsSweptWhereOthersMayWrite(t *testing.T) {
	t.Parallel()
	parameters := bucketOf(t)
	s, _ := openStore(t, Options{Driver: "s3", Parameters: parameters})
	img := putImage(t, s, nginx, nil, "config", "layer")
	if _, err := s.Sweep(t.Context(), SweepOptions{}); !errors.Is(err, ErrShared) {
		t.Errorf("got %v, want that the store is shared", err)
	}
	if got := sweepNow(t, s, SweepOptions{DryRun: true}); got.Freed.Blobs != 3 {
		t.Errorf("got %+v, want to be told of three blobs", got)
	}
	wantImage(t, s, nginx, img, true)

	alone, _ := openStore(t, Options{Driver: "s3", Parameters: parameters, Exclusive: true})
	if alone.Shared() || alone.RecordTTL() != 0 {
		t.Error("the store is shared although it is said to be one process's")
	}
	sweepNow(t, alone, SweepOptions{})
	wantImage(t, alone, nginx, img, false)
}
