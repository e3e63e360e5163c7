package webhook

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/internal/rewrite"
)

const (
	// Path is where the webhook answers.
	Path = "/pods"
	// entry is the name of the one webhook of the configuration.
	entry = "pods.larder.dev"
	// timeout is how long a pod waits for the webhook at most, in seconds.
	timeout = 5
)

// Configuration is by what the API server asks the webhook: about pods only of which something may change, and never so that one waits
// for long or fails because of it. Name is also that of the Service, in Larder's own namespace. Pods in ignoredNamespaces cost no call,
// as those that opted out; the rest of what NewRules ignores is for the webhook to say, which tells why. The bundle of the authority that
// signed the webhook's certificate is left to whoever injects it.
func Configuration(name, namespace string, ignoredNamespaces []string) *admissionregistrationv1.MutatingWebhookConfiguration {
	fail, reinvoke, effects := admissionregistrationv1.Ignore, admissionregistrationv1.IfNeededReinvocationPolicy, admissionregistrationv1.SideEffectClassNone
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "MutatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: entry,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
				Namespace: namespace, Name: name, Path: new(Path), Port: new(int32(443)),
			}},
			Rules: []admissionregistrationv1.RuleWithOperations{
				rule("pods", admissionregistrationv1.Create, admissionregistrationv1.Update),
				rule("pods/ephemeralcontainers", admissionregistrationv1.Update),
			},
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: append(
				[]metav1.LabelSelectorRequirement{notIn("kubernetes.io/metadata.name", ignoredNamespaces...)}, notOptedOut()...,
			)},
			ObjectSelector:          &metav1.LabelSelector{MatchExpressions: notOptedOut()},
			MatchConditions:         conditions(),
			FailurePolicy:           &fail,
			ReinvocationPolicy:      &reinvoke,
			SideEffects:             &effects,
			TimeoutSeconds:          new(int32(timeout)),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

func rule(resource string, operations ...admissionregistrationv1.OperationType) admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{Operations: operations, Rule: admissionregistrationv1.Rule{
		APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}, Scope: new(admissionregistrationv1.NamespacedScope),
	}}
}

func notOptedOut() []metav1.LabelSelectorRequirement {
	var all []metav1.LabelSelectorRequirement
	for _, key := range rewrite.PolicyLabels {
		all = append(all, notIn(key, rewrite.PolicyIgnore))
	}
	return all
}

func notIn(key string, values ...string) metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpNotIn, Values: values}
}
