package kube

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// told is a cache in sync.
type told struct{ client.Reader }

func (told) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

func TestReader_WaitsForTheFirstAnswersOnlyAtTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewReader(t.Context())
		list := func() error { return r.List(t.Context(), &corev1.PodList{}) }
		begin := time.Now()
		if err := list(); !errors.Is(err, ErrNotSynced) || time.Since(begin) != startup {
			t.Errorf("the first read: %v after %v, want ErrNotSynced after %v", err, time.Since(begin), startup)
		}
		begin = time.Now()
		if err := list(); !errors.Is(err, ErrNotSynced) || time.Since(begin) != 0 {
			t.Errorf("a later read: %v after %v, want ErrNotSynced at once", err, time.Since(begin))
		}
		r.Use(told{})
		if err := list(); err != nil {
			t.Errorf("after the answers: %v", err)
		}
	})
}

func TestReader_AReadAtTheStartGetsTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewReader(t.Context())
		time.AfterFunc(time.Second, func() { r.Use(told{}) })
		if err := r.List(t.Context(), &corev1.PodList{}); err != nil {
			t.Errorf("a read before the answers: %v", err)
		}
		// What must not wait asks with a context that has ended, and still gets what there is.
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 {
			if err := r.List(ended, &corev1.PodList{}); err != nil {
				t.Fatalf("a read that does not wait: %v", err)
			}
		}
	})
}
