package cache

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/larder-dev/larder/tests/origin"
)

func TestTag_T6_ACredentialHelperThatHangsHoldsNothingUp(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "config.json"), []byte(`{"credHelpers":{"reg.example":"zz"}}`), 0o600)
	helper := filepath.Join(dir, "docker-credential-zz")
	writeFile(t, helper, []byte("#!/bin/sh\necho '{\"Username\":\"u\",\"Secret\":\"s\"}'\n"), 0o700)
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.restartImpatient(t)
	hangs := filepath.Join(dir, "hangs") // as long as this is there, which goes with the test
	writeFile(t, hangs, nil, 0o600)
	writeFile(t, helper, []byte("#!/bin/sh\nwhile [ -e "+hangs+" ]; do sleep 0.1; done\necho '{\"Username\":\"u\",\"Secret\":\"s\"}'\n"), 0o700)
	start := time.Now()
	_, o := f.resolve(t, "app", "1")
	if took := time.Since(start); o.Kind != Stale || took > 8*time.Second { // a lookup is given up after ten
		t.Errorf("got %+v after %s, want a stale answer after the check timeout of 300ms", o, took)
	}
}

func writeFile(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
}

func TestTag_T9_AMissIsCoalescedForLateComers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	more := 0
	for i := range 40 {
		tag := fmt.Sprint("t", i)
		f.origin.Push(t, "app:"+tag, origin.RandomImage(1, 1<<12))
		var wg sync.WaitGroup
		gate := make(chan struct{})
		for range 100 {
			wg.Go(func() { <-gate; f.resolve(t, "app", tag) })
		}
		close(gate)
		wg.Wait()
		if n := f.origin.Count(origin.Manifests().Of(tag).By("GET")); n != 1 {
			more++
		}
	}
	if more > 0 {
		t.Errorf("%d of 40 tags were fetched more than once", more)
	}
}

func TestTag_T9_AFailedMissIsCoalescedForLateComers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	more := 0
	for i := range 40 {
		tag := fmt.Sprint("none", i)
		var wg sync.WaitGroup
		gate := make(chan struct{})
		for range 100 {
			wg.Go(func() { <-gate; _, _, _ = f.ResolveManifest(t.Context(), repository("app"), tag) })
		}
		close(gate)
		wg.Wait()
		if n := f.origin.Count(origin.Manifests().Of(tag)); n != 1 {
			more++
		}
	}
	if more > 0 {
		t.Errorf("%d of 40 tags were asked for more than once", more)
	}
}

func TestTag_M5_APullThatMeetsTheExpiryWins(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = 24 * time.Hour
	f.restart(t)
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.clock.advance(24 * time.Hour)
	key := tagKey{repository("app"), "1"}
	st, err := f.tagState(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	st.touching.Store(true) // the time of the pull is still being written
	f.expect(t, "app", "1", st.rec.Load().Digest, Hit)
	f.expireAll(t)
	st.touching.Store(false)
	f.touch(key, st, &store.TagRecord{}, f.clock.now())
	eventually(t, "the tag is one again", func() bool {
		rec, err := f.store.Tag(t.Context(), key.repo, key.tag)
		return err == nil && !rec.Untagged
	})
}

func TestTag_T6_AProbeThatJoinsACheckIsNotLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	key := tagKey{repository("app"), "1"}
	st, err := f.tagState(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	q := f.tagQuestion(key, st, Policy{Check: true})
	f.holds.fail(host, late(host))
	f.clock.advance(time.Minute)
	// a check that has noted its outcome (none) and not left the map yet
	k := &check{done: make(chan struct{}), late: make(chan struct{})}
	f.checks.running[q.subject] = k
	f.holds.answered(q.subject, context.Canceled)
	f.resolve(t, "app", "1") // takes the probe, joins k
	f.checks.mu.Lock()
	delete(f.checks.running, q.subject)
	f.checks.mu.Unlock()
	close(k.done)
	f.clock.advance(time.Hour)
	f.origin.Forget()
	for range 5 {
		f.clock.advance(time.Hour)
		f.resolve(t, "app", "1")
	}
	eventually(t, "idle", f.idle)
	if f.origin.Count(origin.Manifests()) == 0 {
		t.Error("no probe ever again")
	}
}

func TestBlob_T9_AClientsEndIsNotRemembered(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := missKey{repo: repository("app"), what: "blob", name: "x"}
	f.remember(key, &upstream.Error{Reason: upstream.Unreachable, Host: host, Err: context.Canceled})
	if err := f.remembered(key); err != nil {
		t.Errorf("remembered: %v", err)
	}
}

func TestTag_T10_ATombstoneIsBoundedToo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.options.ExpiryDelay = 24 * time.Hour
	f.restart(t)
	f.policies.set(Policy{Check: true, Interval: time.Minute, MaxStale: time.Hour})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.clock.advance(48 * time.Hour)
	f.expireAll(t)
	f.origin.Refuse()
	_, o, err := f.ResolveManifest(t.Context(), repository("app"), "1")
	if err == nil {
		t.Errorf("48 h without confirmation, maxStale 1 h: served %+v", o)
	}
}

func TestTag_T10_InsistingHeedsA429(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.policies.set(Policy{Check: true, Interval: time.Minute, MaxStale: time.Hour})
	f.origin.Push(t, "app:1", origin.RandomImage(1, 1<<12))
	f.pull(t, "app", "1")
	f.origin.Fail(origin.Manifests(), origin.Status(http.StatusTooManyRequests, "Retry-After", "120"))
	f.clock.advance(2 * time.Hour)
	f.origin.Forget()
	for range 5 {
		_, _, err := f.ResolveManifest(t.Context(), repository("app"), "1")
		if err == nil {
			t.Fatal("served")
		}
	}
	if n := f.origin.Count(origin.Manifests()); n != 1 {
		t.Errorf("%d requests within Retry-After, want 1", n)
	}
}

func (f *fixture) expireAll(t *testing.T) {
	t.Helper()
	if err := f.ExpireUnused(t.Context()); err != nil {
		t.Fatal(err)
	}
}
