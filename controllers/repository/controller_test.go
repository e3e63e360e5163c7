package repository_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
)

var (
	conflict = summary{v1alpha1.RepositoryConflict, 0, []string{"Ready=False Conflict", "Stalled=True Conflict"}}
	invalid  = summary{v1alpha1.RepositoryInvalid, 0, []string{"Ready=False Invalid", "Stalled=True Invalid"}}
)

func terminating(images int32) summary {
	return summary{v1alpha1.RepositoryTerminating, images, []string{"Ready=True InForce", "Reconciling=True ImagesRemain"}}
}

func message(object *v1alpha1.Repository, kind string) string {
	if c := meta.FindStatusCondition(object.Status.Conditions, kind); c != nil {
		return c.Message
	}
	return ""
}

func TestRepository_SumsUpItsImages(t *testing.T) {
	start(t)
	createRepository(t, "sums", v1alpha1.RepositorySpec{Name: "sums/app"})
	object := becomes(t, "sums", ready(0))
	if len(object.Finalizers) != 1 || object.Finalizers[0] != v1alpha1.FinalizerImages || object.Status.ObservedGeneration != object.Generation {
		t.Errorf("finalizers are %q and the status is of generation %d, not %d", object.Finalizers, object.Status.ObservedGeneration, object.Generation)
	}
	first, second := createImage(t, "sums-1", "sums/app:1"), createImage(t, "sums-2", "docker.io/sums/app:2")
	createImage(t, "sums-other", "sums/app2:1")
	becomes(t, "sums", ready(2))
	pulled := metav1.NewTime(time.Now().Truncate(time.Second))
	for image, at := range map[*v1alpha1.CachedImage]metav1.Time{first: pulled, second: metav1.NewTime(pulled.Add(-time.Hour))} {
		image.Status.LastSuccessfulPull = &at
		must(t, cluster.Status().Update(t.Context(), image))
	}
	eventually(t, func() error {
		if got := becomes(t, "sums", ready(2)).Status.LastUpdate; got == nil || !got.Equal(&pulled) {
			return fmt.Errorf("last update is %v, want %v", got, pulled)
		}
		return nil
	})
	must(t, cluster.Delete(t.Context(), first))
	becomes(t, "sums", ready(1))
	object = becomes(t, "sums", ready(1))
	object.Spec.UpdateInterval = "1h"
	must(t, cluster.Update(t.Context(), object))
	eventually(t, func() error {
		if got := becomes(t, "sums", ready(1)); got.Status.ObservedGeneration != object.Generation {
			return fmt.Errorf("the status is of generation %d, not %d", got.Status.ObservedGeneration, object.Generation)
		}
		return nil
	})
}

func TestRepository_WhatAPersonWritesIntoTheStatusDoesNotStay(t *testing.T) {
	start(t)
	createRepository(t, "edited", v1alpha1.RepositorySpec{Name: "edited/app"})
	createImage(t, "edited-1", "edited/app:1")
	object := becomes(t, "edited", ready(1))
	object.Status.Images, object.Status.Phase = new(int32(99)), v1alpha1.RepositoryConflict
	must(t, cluster.Status().Update(t.Context(), object))
	becomes(t, "edited", ready(1))
}

func TestRepository_OlderOneIsInForceUntilItGoes(t *testing.T) {
	start(t)
	createImage(t, "twice", "twice/app:1")
	older := createRepository(t, "twice-z", v1alpha1.RepositorySpec{Name: "twice/app"})
	becomes(t, "twice-z", ready(1))
	eventually(t, func() error { // the API server keeps whole seconds
		if time.Since(older.CreationTimestamp.Time) < time.Second {
			return fmt.Errorf("still the same second")
		}
		return nil
	})
	createRepository(t, "twice-a", v1alpha1.RepositorySpec{Name: "docker.io/twice/app"})
	younger := becomes(t, "twice-a", conflict)
	if got := message(younger, v1alpha1.ConditionStalled); !strings.Contains(got, "Repository twice-z is in force for docker.io/twice/app already: remove one of the two") {
		t.Errorf("message is %q", got)
	}
	// Its images pass to the other: it need not wait.
	must(t, cluster.Delete(t.Context(), older))
	goes(t, "twice-z")
	becomes(t, "twice-a", ready(1))
}

func TestRepository_ConflictGoesAtOnce(t *testing.T) {
	start(t)
	createImage(t, "loser", "loser/app:1")
	createRepository(t, "loser-a", v1alpha1.RepositorySpec{Name: "loser/app"})
	becomes(t, "loser-a", ready(1))
	younger := createRepository(t, "loser-b", v1alpha1.RepositorySpec{Name: "loser/app"})
	becomes(t, "loser-b", conflict)
	must(t, cluster.Delete(t.Context(), younger))
	goes(t, "loser-b")
	becomes(t, "loser-a", ready(1))
}

func TestRepository_DeletionWaitsForItsImages(t *testing.T) {
	start(t)
	var images []*v1alpha1.CachedImage
	for i := range 7 {
		images = append(images, createImage(t, fmt.Sprintf("waits-%d", i), fmt.Sprintf("waits/app:%d", i)))
	}
	object := createRepository(t, "waits", v1alpha1.RepositorySpec{Name: "waits/app"})
	becomes(t, "waits", ready(7))
	must(t, cluster.Delete(t.Context(), object))
	got := message(becomes(t, "waits", terminating(7)), v1alpha1.ConditionReconciling)
	if want := "waits-0, waits-1, waits-2, waits-3, waits-4 and 2 more. Delete them"; !strings.Contains(got, want) {
		t.Errorf("message is %q, want %q in it", got, want)
	}
	for _, image := range images[:6] {
		must(t, cluster.Delete(t.Context(), image))
	}
	got = message(becomes(t, "waits", terminating(1)), v1alpha1.ConditionReconciling)
	if want := ": waits-6. Delete them"; !strings.Contains(got, want) {
		t.Errorf("message is %q, want %q in it", got, want)
	}
	must(t, cluster.Delete(t.Context(), images[6]))
	goes(t, "waits")
}

func TestRepository_NewOneReleasesTheDeletedOne(t *testing.T) {
	start(t)
	createImage(t, "heir", "heir/app:1")
	object := createRepository(t, "heir-a", v1alpha1.RepositorySpec{Name: "heir/app"})
	becomes(t, "heir-a", ready(1))
	must(t, cluster.Delete(t.Context(), object))
	becomes(t, "heir-a", terminating(1))
	createRepository(t, "heir-b", v1alpha1.RepositorySpec{Name: "heir/app"})
	goes(t, "heir-a")
	becomes(t, "heir-b", ready(1))
}

func TestRepository_InvalidOneSaysWhyAndIsNotWaitedFor(t *testing.T) {
	start(t)
	createImage(t, "invalid", "invalid/app:1")
	createRepository(t, "invalid", v1alpha1.RepositorySpec{Name: "invalid/app", UpdateMode: v1alpha1.UpdatePeriodic}) // no interval to inherit
	if got := message(becomes(t, "invalid", invalid), v1alpha1.ConditionReady); !strings.HasPrefix(got, "spec.updateInterval: ") {
		t.Errorf("message is %q, want the field first", got)
	}
	// The next in line is in force.
	next := createRepository(t, "invalid-next", v1alpha1.RepositorySpec{Name: "invalid/app"})
	becomes(t, "invalid-next", ready(1))
	must(t, cluster.Delete(t.Context(), next))
	becomes(t, "invalid-next", terminating(1))
	object := becomes(t, "invalid", invalid)
	object.Spec.UpdateInterval = "1h"
	must(t, cluster.Update(t.Context(), object))
	goes(t, "invalid-next")
	becomes(t, "invalid", ready(1))
	object = becomes(t, "invalid", ready(1))
	object.Spec.UpdateInterval = ""
	must(t, cluster.Update(t.Context(), object))
	becomes(t, "invalid", invalid)
	must(t, cluster.Delete(t.Context(), object))
	goes(t, "invalid")
}

func TestRepository_WritesLittle(t *testing.T) {
	first := start(t)
	object := &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{
			Name: "quiet", Finalizers: []string{v1alpha1.FinalizerImages}, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
		},
		Spec: v1alpha1.RepositorySpec{Name: "quiet/app"},
	}
	must(t, cluster.Create(t.Context(), object)) // as for a pod
	const images = 60
	began := time.Now()
	var wg sync.WaitGroup
	for i := range images {
		wg.Go(func() {
			image := createImage(t, fmt.Sprintf("quiet-%d", i), fmt.Sprintf("quiet/app:%d", i))
			now := metav1.Now()
			image.Status.LastSuccessfulPull = &now
			must(t, cluster.Status().Update(context.Background(), image))
		})
	}
	wg.Wait()
	becomes(t, "quiet", ready(images))
	took := time.Since(began)
	object = &v1alpha1.Repository{}
	must(t, cluster.Get(t.Context(), client.ObjectKey{Name: "quiet"}, object))
	writes, statuses := first.wrote("quiet")
	if limit := 1 + int(took/(2*time.Second)); writes > 0 || statuses > limit {
		t.Errorf("%d images in %v: %d writes and %d of the status, want none and at most %d", images, took, writes, statuses, limit)
	}
	first.stop()

	second := start(t)
	createRepository(t, "quiet-last", v1alpha1.RepositorySpec{Name: "quiet/last"}) // when this is done, so is the rest
	becomes(t, "quiet-last", ready(0))
	second.stop()
	for _, write := range second.writes {
		if !strings.Contains(write, "/quiet-last") {
			t.Errorf("in the steady state: %s", write)
		}
	}
	if writes, statuses := second.wrote("quiet-last"); writes != 1 || statuses != 1 {
		t.Errorf("a Repository of a person: %d writes and %d of the status, want one of each", writes, statuses)
	}
	again := &v1alpha1.Repository{}
	must(t, cluster.Get(t.Context(), client.ObjectKey{Name: "quiet"}, again))
	if again.ResourceVersion != object.ResourceVersion && again.Status.LastUpdate.Sub(object.Status.LastUpdate.Time) < 10*time.Minute {
		t.Errorf("the Repository was written again: %+v", again.Status)
	}
}
