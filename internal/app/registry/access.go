package registry

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

const (
	// lastKnown is the file in the data folder with what was last known of the nodes' pods.
	lastKnown = "access.json"
	// eventDenied is the reason of an event on a pod whose image is refused.
	eventDenied = "PullDenied"
	// maxDenied is how many pods are told of one refusal.
	maxDenied = 8
)

// grants say who may pull what. They are nil without a token: then everybody can say of himself which node he is, and it is worth nothing.
func (p *process) grants() *grant.Options {
	if p.options.Token == nil {
		return nil
	}
	return &grant.Options{
		Cluster: p.keychain, LastKnown: filepath.Join(p.options.Data, lastKnown), OnRefused: p.tellPods,
		Rule:     func(repo imageref.Repository) grant.Rule { return grant.Rule(p.policies.Load().Access(repo)) },
		Origins:  func(repo imageref.Repository) []imageref.Repository { return p.policies.Load().Origins(repo) },
		AskedFor: func(repo imageref.Repository) []imageref.Repository { return p.policies.Load().AskedFor(repo) },
	}
}

// watchPods has the grants follow the pods of a manager's cache.
func (p *process) watchPods(ctx context.Context, m manager.Manager) error {
	keeper := p.server.Grants()
	if keeper == nil {
		return nil
	}
	informer, err := m.GetCache().GetInformer(ctx, &corev1.Pod{})
	if err == nil {
		_, err = informer.AddEventHandler(p.keychain.Watch(p.options.Cluster.Scope, keeper.PodsChanged))
	}
	if err != nil {
		return fmt.Errorf("watching who uses which image: %w", err)
	}
	return nil
}

// tellPods makes events of a refusal.
func (p *process) tellPods(why *grant.Refusal) {
	recorder := p.events.Load()
	if recorder == nil {
		return
	}
	for _, pod := range why.Pods[:min(len(why.Pods), maxDenied)] {
		object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: types.UID(pod.UID)}}
		(*recorder).Eventf(object, nil, corev1.EventTypeWarning, eventDenied, "Pull", "%s", status.Note(why.Message))
	}
}
