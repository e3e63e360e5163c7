package policy

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/larder-dev/larder/api/v1alpha1"
)

func TestChanged_WhatPoliciesDependOn(t *testing.T) {
	t.Parallel()
	object := func(uid types.UID, generation int64) *v1alpha1.Repository {
		return &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: uid, Generation: generation}}
	}
	for name, tt := range map[string]struct {
		now  *v1alpha1.Repository
		want bool
	}{
		"A status":                           {object("1", 1), false},
		"A spec":                             {object("1", 2), true},
		"An object made anew under the name": {object("2", 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := changed().Update(event.UpdateEvent{ObjectOld: object("1", 1), ObjectNew: tt.now}); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
