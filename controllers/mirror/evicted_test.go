package mirror_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/s3"
)

// twoReplicas are two registries on one bucket, of which one owns every image and the other evicts.
func twoReplicas(t *testing.T) (owner, leader *rig) {
	t.Helper()
	server := s3.Shared(t)
	owner, leader = newRig(t), newRig(t)
	owner.storage = store.Options{Driver: "s3", Parameters: s3.Parameters(server.Endpoint, server.Bucket(t))}
	leader.id, leader.origin, leader.current, leader.storage = owner.id, owner.origin, owner.current, owner.storage
	leader.storage.Exclusive = true // its sweeps wait for nobody
	leader.options.Share = &share{}
	return owner.start(), leader.start()
}

func TestEvicted_ByAnotherReplicaIsSeenInTheStatus(t *testing.T) {
	t.Parallel()
	evictElsewhere(t, true)
}

func TestEvicted_ByAnotherReplicaIsSeenInTheStore(t *testing.T) {
	t.Parallel()
	evictElsewhere(t, false)
}

// evictElsewhere has a replica evict another one's image while that is away: what it finds then is a status that tells, or the store alone.
// The image has to stay out until it is pulled.
func evictElsewhere(t *testing.T, told bool) {
	t.Helper()
	owner, leader := twoReplicas(t)
	owner.origin.Push(t, "app:1", origin.RandomImage(1, 64<<10))
	object := owner.ready(owner.image("app", "app:1"))
	later := metav1.NewTime(time.Now().Add(24 * time.Hour))
	owner.expire(object, &later)
	leader.until(func() string { return "the leader to know the object" }, func() bool {
		return leader.client.Get(t.Context(), client.ObjectKeyFromObject(object), &v1alpha1.CachedImage{}) == nil
	})
	owner.stop()
	owner.origin.Forget()
	leader.writes.refuse.Store(!told)
	leader.evict()
	leader.told(object, "Evicted")
	if told {
		leader.eventually(object, "evicted", isEvicted)
	}

	owner.start()
	owner.eventually(object, "evicted", isEvicted)
	owner.origin.Push(t, "other:1", origin.RandomImage(1, 4<<10))
	owner.ready(owner.image("other", "other:1")) // by then the one that is out was reconciled
	if owner.eventually(object, "evicted still", isEvicted); owner.origin.Count(origin.Manifests().In("app")) != 0 {
		t.Error("what was evicted is brought in again by itself")
	}
	ref := reference(host + "/app:1")
	if _, _, err := owner.cache.ResolveManifest(t.Context(), ref.Repository, ref.Tag); err != nil {
		t.Fatal(err)
	}
	owner.ready(object) // by a pull
}
