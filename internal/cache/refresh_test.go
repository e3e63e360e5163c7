package cache

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
)

func (f *fixture) check(t *testing.T, image string) {
	t.Helper()
	if err := f.Check(t.Context(), reference(t, image)); err != nil {
		t.Fatal(err)
	}
}

func TestCheck_T3_WhateverThePolicyAndTheIntervalSay(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]Policy{"never checked": {}, "not due": {Check: true, Interval: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.policies.set(policy)
			f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
			f.pull(t, "app", "1")
			moved := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
			f.clock.advance(time.Minute)
			f.check(t, "app:1")
			f.expect(t, "app", "1", moved.Digest, Hit)
			f.awaitMirror(t, tagKey{repository("app"), "1"})
			if got := f.image(t, "app:1"); got.Digest != moved.Digest || !got.Complete {
				t.Errorf("got %+v, want the complete %s", got, moved.Digest)
			}

			f.clock.advance(time.Minute)
			f.origin.Forget()
			f.check(t, "app:1")
			if heads, all := f.origin.Count(origin.Manifests().By("HEAD")), f.origin.Count(origin.Everything()); heads != 1 || all != 1 {
				t.Errorf("unchanged: got %d HEADs of %d requests, want one HEAD (T5)", heads, all)
			}
			f.restart(t)
			if got := f.image(t, "app:1"); !got.CheckedAt.Equal(f.clock.now()) {
				t.Errorf("got checked at %s after a restart, want %s", got.CheckedAt, f.clock.now())
			}
		})
	}
}

func TestCheck_T6_AlthoughChecksAreHeld(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{
		"the host": http.StatusServiceUnavailable, "the credential": http.StatusTooManyRequests, "the tag": http.StatusNotFound,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.policies.set(Policy{Check: true})
			img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
			f.pull(t, "app", "1")
			fault := f.origin.Fail(origin.Manifests(), origin.Status(status))
			f.expect(t, "app", "1", img.Digest, Stale)
			fault.Heal()
			f.expect(t, "app", "1", img.Digest, Stale)
			f.check(t, "app:1")
			if f.holds.open(host) {
				t.Error("the breaker is open after an answer")
			}
		})
	}
}

func TestCheck_T7_ADigestIsAskedForAnewByTheNextRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	missing := f.origin.Fail(origin.Manifests(), origin.Status(http.StatusNotFound))
	ref := reference(t, "app@"+img.Digest.String())
	if _, err := f.Mirror(t.Context(), ref, nil, nil); err == nil {
		t.Fatal("mirrored what the origin does not have")
	}
	missing.Heal()
	f.origin.Forget()
	if _, err := f.Mirror(t.Context(), ref, nil, nil); err == nil {
		t.Fatal("asked again at once (T9)")
	}
	f.check(t, "app@"+img.Digest.String())
	if n := f.origin.Count(origin.Everything()); n > 0 {
		t.Errorf("the check made %d requests", n)
	}
	if _, err := f.Mirror(t.Context(), ref, nil, nil); err != nil {
		t.Error(err)
	}
}

func TestCheck_T3_ManyShareOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Hour})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.clock.advance(time.Hour)
	f.origin.Forget()
	hang := f.origin.Fail(origin.Manifests(), origin.Hang())
	var wg sync.WaitGroup
	wg.Go(func() { f.resolve(t, "app", "1") })
	hang.Await(t, 1)
	ready := make(chan struct{}, 20)
	for range cap(ready) {
		wg.Go(func() {
			ready <- struct{}{}
			f.check(t, "app:1")
		})
	}
	for range cap(ready) {
		<-ready
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Check(gone, reference(t, "app:1")); !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v for a caller that is gone, want its own", err)
	}
	if n := f.origin.Count(origin.Manifests()); n != 1 {
		t.Errorf("the origin was asked %d times while a check ran, want once", n)
	}
	hang.Heal()
	wg.Wait()
}

func TestCheck_T3_OneThatAskedNothingIsNoAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.origin.Forget()
	s := subject{repository("app"), tagSubject, "1"}
	k := &check{done: make(chan struct{}), late: make(chan struct{}), idle: true} // it found that another had been answered
	f.checks.running[s] = k
	joined := &watched{Context: t.Context(), waiting: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f.Check(joined, reference(t, "app:1")); err != nil {
			t.Error(err)
		}
	})
	<-joined.waiting
	f.checks.mu.Lock()
	delete(f.checks.running, s)
	f.checks.mu.Unlock()
	close(k.done)
	wg.Wait()
	if n := f.origin.Count(origin.Manifests()); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
}

// watched tells when somebody begins to wait for its end.
type watched struct {
	context.Context
	once    sync.Once
	waiting chan struct{}
}

func (w *watched) Done() <-chan struct{} {
	w.once.Do(func() { close(w.waiting) })
	return w.Context.Done()
}

func TestCheck_T6_TellsWhyItWasNotAnswered(t *testing.T) {
	t.Parallel()
	for name, test := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
			f.pull(t, "app", "1")
			test.fail(f.origin)
			err := f.Check(t.Context(), reference(t, "app:1"))
			var e *Error
			if !errors.As(err, &e) || e.Code != test.code || e.Status != test.status || e.RetryAfter != test.retryAfter {
				t.Errorf("got the error %+v, want %s, %d, %s", err, test.code, test.status, test.retryAfter)
			}
			f.expect(t, "app", "1", img.Digest, Hit)
		})
	}
}

func TestCheck_T1_BringsInWhatIsNotStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 2 { // the second is not told what is remembered of the first (T9)
		var e *Error
		if err := f.Check(t.Context(), reference(t, "app:1")); !errors.As(err, &e) || e.Code != CodeManifestUnknown {
			t.Fatalf("got the error %v, want MANIFEST_UNKNOWN", err)
		}
	}
	if n := f.origin.Count(origin.Manifests().Of("1")); n != 2 {
		t.Errorf("the origin was asked %d times, want twice", n)
	}
	if _, err := f.Image(t.Context(), reference(t, "app:1"), nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got the error %v, want store.ErrNotFound", err)
	}
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.check(t, "app:1")
	if got := f.image(t, "app:1"); got.Digest != img.Digest || got.Complete {
		t.Errorf("got %+v, want the manifest of %s and no more", got, img.Digest)
	}
}

func TestCheck_T7_NotForADigest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	img := f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.origin.Forget()
	f.check(t, "app@"+string(img.Digest))
	f.check(t, "app:1@"+string(img.Digest))
	if n := f.origin.Count(origin.Everything()); n != 0 {
		t.Errorf("the origin was asked %d times, want never", n)
	}
}
