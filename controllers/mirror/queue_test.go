package mirror

import (
	"testing"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
)

func TestTagChanged_KeepsOnlyWhatAnObjectNames(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	ref, err := imageref.Parse("reg.example/app:1")
	if err != nil {
		t.Fatal(err)
	}
	r.memory.enter(&v1alpha1.CachedImage{}, ref)
	for range 3 {
		r.TagChanged(ref.Repository, "1")
		r.TagChanged(ref.Repository, "2")
	}
	if got := r.changed.take(); len(got) != 1 {
		t.Errorf("it keeps %v, want the one tag once", got)
	}
	if got := r.changed.take(); len(got) != 0 {
		t.Errorf("it keeps %v that was taken", got)
	}
}
