package grant

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/larder-dev/larder/internal/upstream"
)

// bubble runs a test in which waits cost no time.
func bubble(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

func TestGrant_A1_APodOfTheNodeAndItsCredential(t *testing.T) {
	for name, tt := range map[string]struct {
		pods func(*world)
		want Reason
	}{
		"No pod":                     {func(*world) {}, NoPod},
		"A pod on another node":      {func(w *world) { w.run("other", "a", "app", "pull") }, NoPod},
		"A pod that has finished":    {func(w *world) { w.run("node", "a", "app", "pull"); w.end("node") }, NoPod},
		"Without a secret":           {func(w *world) { w.run("node", "b", "app") }, NoSecret},
		"With a missing secret":      {func(w *world) { w.run("node", "b", "app", "missing") }, NoSecret},
		"With a wrong secret":        {func(w *world) { w.run("node", "b", "app", "wrong") }, Refused},
		"With a right one":           {func(w *world) { w.run("node", "a", "app", "pull") }, ""},
		"With a wrong and a right":   {func(w *world) { w.run("node", "b", "app", "wrong", "right") }, ""},
		"Another pod has the right":  {func(w *world) { w.run("node", "b", "app"); w.run("node", "a", "app", "pull") }, ""},
		"The secret of another name": {func(w *world) { w.run("node", "a", "app", "right") }, NoSecret},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(_ *testing.T, w *world) {
				tt.pods(w)
				w.want("node", tt.want)
				w.down() // what was decided stands
				if tt.want == "" {
					w.want("node", "")
				}
			})
		})
	}
}

func TestGrant_A1_JoinsNobodyElsesGrant(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.run("one", "a", "app", "pull")
		w.want("one", "")
		w.run("two", "b", "app", "wrong")
		w.want("two", Refused)
		w.want("", NoNode)
		if len(w.refusals) != 1 || w.refusals[0].Pods[0].Name != "app" {
			t.Errorf("told were %v, want the pod once", w.refusals)
		}
		if strings.Contains(w.refusals[0].Message, mallory.Password) {
			t.Errorf("%s tells a password", w.refusals[0].Message)
		}
	})
}

func TestGrant_A1_EverybodysNeedsNoPod(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.allow(nobody)
		w.want("", "")
		w.want("node", "")
		if w.asked != 1 {
			t.Errorf("the origin was asked %d times, want once", w.asked)
		}
		w.down()
		w.restart()
		w.want("other", "")
	})
}

func TestGrant_A1_SharedAsksNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.rule.Shared = true
		w.want("", "")
		w.want("node", "")
		if w.asked != 0 {
			t.Errorf("the origin was asked %d times", w.asked)
		}
		w.rule.Shared = false
		w.want("node", NoPod)
	})
}

func TestGrant_A3_LardersOwnIsForAllWhileItIsLarders(t *testing.T) {
	bubble(t, func(_ *testing.T, w *world) {
		w.set(func() { w.own = []Claim{{Credential: alice, Source: "secret/hub"}} })
		w.want("node", "")
		w.set(func() { w.own[0].Credential = authn.AuthConfig{Username: "alice", Password: "rotated"} })
		w.down()
		w.want("node", "")
		w.set(func() { w.own = nil })
		w.want("node", NoPod)
	})
}

func TestGrant_A1_WaitsForAFreshPod(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		began := time.Now()
		time.AfterFunc(time.Second, func() { w.run("node", "a", "app", "pull") })
		w.want("node", "")
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v, want as long as the pod", took)
		}
		began = time.Now()
		w.want("other", NoPod)
		if took := time.Since(began); took != podsPatience {
			t.Errorf("the refusal took %v, want %v", took, podsPatience)
		}
	})
}

func TestGrant_A1_ADenialIsRememberedForThatCredential(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.run("node", "b", "app", "wrong")
		w.want("node", Refused)
		w.want("node", Refused)
		if w.asked != 2 { // the secret's, and nobody's
			t.Errorf("the origin was asked %d times, want twice", w.asked)
		}
		w.allow(mallory)
		w.want("node", Refused)
		w.pass(deniedFor)
		w.want("node", "")
	})
}

func TestGrant_A2_OutlivesSecretOriginAndProcess(t *testing.T) {
	bubble(t, func(_ *testing.T, w *world) {
		w.run("node", "a", "app", "pull")
		w.want("node", "")
		w.allow()
		w.want("node", "")
		w.down()
		w.restart()
		w.want("node", "")
		w.run("other", "b", "app", "right") // the same credential
		w.want("other", "")
		w.run("third", "b", "app", "wrong")
		w.want("third", Unavailable)
	})
}

func TestGrant_A2_EndsAfterGrantTTLWithoutANewYes(t *testing.T) {
	bubble(t, func(_ *testing.T, w *world) {
		w.rule.TTL = time.Hour
		w.run("node", "a", "app", "pull")
		w.want("node", "")
		w.pass(time.Hour - time.Second)
		w.want("node", "")
		w.pass(time.Second)
		w.want("node", "") // asked again
		w.down()
		w.pass(time.Hour)
		w.want("node", Unavailable)
		w.rule.TTL = 0
		w.want("node", "")
	})
}

func TestGrant_A2_StartsWithoutTheAPIServerByWhatWasLastKnown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.run("node", "a", "app", "pull")
		w.run("gone", "a", "app", "pull")
		w.want("node", "")
		w.want("gone", "")
		w.want("node", "") // by the grant: the first yes was the origin's
		w.want("gone", "")
		w.end("gone")
		w.run("gone", "b", "nosy", "wrong") // another's pod is there now
		w.down()
		w.restart()
		w.known = false // nobody tells of pods then
		w.want("node", "")
		w.want("gone", PodsUnknown)
		w.want("never", PodsUnknown)
		if _, err := w.book.Revoke(t.Context(), Revocation{Repository: w.repo.String()}); err != nil {
			t.Fatal(err)
		}
		w.want("node", PodsUnknown)
	})
}

func TestGrant_A2_PodsThatWentWhileNobodyWatchedAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		for range 2 { // the second time by the grant
			for _, node := range []string{"node", "gone"} {
				w.run(node, "a", "app", "pull")
				w.want(node, "")
			}
		}
		w.down()
		w.restart()
		w.mu.Lock()
		delete(w.pods, "gone") // of which no event tells
		w.mu.Unlock()
		w.PodsKnown(t.Context())
		w.restart()
		w.known = false
		w.want("node", "")
		w.want("gone", PodsUnknown)
	})
}

func TestGrant_ARefusalTellsNoTenantOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.allow()
		w.run("node", "b", "nosy", "wrong")
		w.run("node", "a", "quiet", "pull")
		w.want("node", Refused)
		if said := w.refusals[0].Message; strings.Contains(said, "quiet") || strings.Contains(said, "nosy") {
			t.Errorf("it says %q", said)
		}
	})
}

func TestGrant_Revoked(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.run("node", "a", "app", "pull")
		w.want("node", "")
		w.run("other", "b", "app", "right")
		w.want("other", "")
		w.want("other", "")
		synctest.Wait() // the namespace is noted in the background
		listed, err := w.book.Grants(t.Context(), nil)
		if err != nil || len(listed) != 1 || len(listed[0].Grants) != 1 || strings.Join(listed[0].Grants[0].Namespaces, " ") != "a b" {
			t.Fatalf("Grants = %v, %v, want one of a and b", listed, err)
		}
		w.down()
		for _, r := range []Revocation{{Namespace: "c"}, {ID: "no"}, {Namespace: "a", ID: listed[0].Grants[0].ID[:6]}} {
			r.Repository = w.repo.String()
			revoked, err := w.book.Revoke(t.Context(), r)
			if err != nil || (len(revoked) == 1) != (r.Namespace == "a") {
				t.Errorf("Revoke(%v) = %v, %v", r, revoked, err)
			}
		}
		w.want("node", Unavailable)
		w.want("other", Unavailable)
		w.allow(alice)
		w.pass(failedFor)
		w.want("node", "")
	})
}

func TestGrant_WhatIsProvenInOrdinaryWorkIsNotAskedFor(t *testing.T) {
	bubble(t, func(_ *testing.T, w *world) {
		w.run("node", "a", "app", "pull")
		w.Proven(w.repo, upstream.Proof{Credential: alice})
		w.Proven(w.repo, upstream.Proof{Credential: mallory}) // whose it is nobody knows
		synctest.Wait()
		w.down()
		w.want("node", "")
		w.run("other", "b", "app", "wrong")
		w.want("other", Unavailable)
	})
}

func TestGrant_NotFoundByAllIsNotFound(t *testing.T) {
	bubble(t, func(_ *testing.T, w *world) {
		w.origin = &upstream.Error{Reason: upstream.NotFound}
		w.run("node", "b", "app", "wrong")
		w.want("node", NotFound)
	})
}
