package certificate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gomodules.xyz/jsonpatch/v2"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// injector has the API server trust the authority of the Secret: it keeps the bundle of the webhook configuration.
type injector struct {
	client client.Client
	config client.ObjectKey // of the MutatingWebhookConfiguration
	secret client.ObjectKey // of the authority
	now    func() time.Time
}

// register adds the injector to a manager. It works on every replica, the leader or not: while the webhook is switched on, the one that
// leads may be of before, and would wait to be replaced by one that waits to be trusted. Of two that patch at once one fails, and finds
// nothing to do when it tries again.
func (i *injector) register(m manager.Manager) error {
	one := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{{}} })
	err := ctrl.NewControllerManagedBy(m).Named("webhook-trust").
		Watches(&admissionregistrationv1.MutatingWebhookConfiguration{}, one).
		Watches(&corev1.Secret{}, one).
		WithOptions(controller.Options{NeedLeaderElection: new(false)}).
		Complete(i)
	if err != nil {
		return fmt.Errorf("adding the controller of the webhook's trust: %w", err)
	}
	return nil
}

// Reconcile patches the bundle if it lacks the authority. Whatever else is in the configuration, it leaves alone.
func (i *injector) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	var config admissionregistrationv1.MutatingWebhookConfiguration
	var secret corev1.Secret
	for key, object := range map[client.ObjectKey]client.Object{i.config: &config, i.secret: &secret} {
		if err := i.client.Get(ctx, key, object); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err) // it comes, and is an event then
		}
	}
	authority := secret.Data[corev1.ServiceAccountRootCAKey]
	if len(parse(authority, i.now())) == 0 {
		return ctrl.Result{}, nil // it is being made anew
	}
	patch, err := i.patch(&config, authority)
	if err != nil || patch == nil {
		return ctrl.Result{}, err
	}
	if err := i.client.Patch(ctx, &config, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		return ctrl.Result{}, fmt.Errorf("having the API server trust the webhook's authority: %w", err)
	}
	ctrl.LoggerFrom(ctx).Info("had the API server trust the webhook's authority", "webhookConfiguration", i.config.Name)
	return ctrl.Result{}, nil
}

// patch is nil where nothing is to be changed.
func (i *injector) patch(config *admissionregistrationv1.MutatingWebhookConfiguration, authority []byte) ([]byte, error) {
	operations := []jsonpatch.Operation{jsonpatch.NewOperation("test", "/metadata/resourceVersion", config.ResourceVersion)}
	for n, hook := range config.Webhooks {
		bundle, err := merge(hook.ClientConfig.CABundle, authority, i.now())
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(bundle, hook.ClientConfig.CABundle) {
			operations = append(operations, jsonpatch.NewOperation("add", fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", n), bundle))
		}
	}
	if len(operations) == 1 {
		return nil, nil
	}
	return json.Marshal(operations)
}
