package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/rollout"
)

const (
	// patience is how long a pod waits for the API server to say how old its owner is. It answers in milliseconds, or does not.
	patience = 2 * time.Second
	// remembered is how many owners' ages are kept: they never change.
	remembered = 4096
)

// errReplaced says that an owner is gone, and another object has its name.
var errReplaced = errors.New("it was replaced by another object of its name")

// owners knows when the revisions of workloads were created. It asks the API server once for each: an informer would not know the owner of
// the first pods yet, and some pods of a revision must not get another digest than the others.
type owners struct {
	live  client.Reader
	known *lru.Cache
}

func newOwners(live client.Reader) *owners { return &owners{live: live, known: lru.New(remembered)} }

// created says when a revision was created. It answers within patience.
func (o *owners) created(ctx context.Context, namespace string, owner rollout.Owner) (time.Time, error) {
	if at, ok := o.known.Get(owner.Key()); ok {
		return at.(time.Time), nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var object metav1.PartialObjectMetadata
	object.SetGroupVersionKind(owner.Kind)
	err := o.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: owner.Name}, &object)
	if err == nil && !owner.Is(&object) {
		err = errReplaced
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("asking how old %s %s/%s is: %w", owner.Kind.Kind, namespace, owner.Name, err)
	}
	at := object.CreationTimestamp.Time
	o.known.Add(owner.Key(), at)
	return at, nil
}
