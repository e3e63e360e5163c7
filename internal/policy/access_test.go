package policy_test

import (
	"testing"
	"time"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/policy"
)

func TestSet_A2_Access(t *testing.T) {
	t.Parallel()
	set := compile(t, policy.Defaults{},
		v1alpha1.RepositorySpec{Name: "a", Access: v1alpha1.AccessShared},
		v1alpha1.RepositorySpec{Name: "b", Access: v1alpha1.AccessGranted, GrantTTL: "12h"},
		v1alpha1.RepositorySpec{Name: "c"})
	for name, want := range map[string]policy.Access{"a": {Shared: true}, "b": {TTL: 12 * time.Hour}, "c": {}, "none": {}} {
		if repo, _ := parse(t, name+":1"); set.Access(repo) != want {
			t.Errorf("Access(%s) = %+v, want %+v", name, set.Access(repo), want)
		}
	}
}
