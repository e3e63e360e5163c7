package kube

import (
	"net/http"

	"github.com/larder-dev/larder/api/v1alpha1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
)

// kinds are those that Larder reads or writes.
var kinds = map[schema.GroupVersion]map[string]meta.RESTScope{
	corev1.SchemeGroupVersion: {
		"Namespace": meta.RESTScopeRoot, "Node": meta.RESTScopeRoot, "Pod": meta.RESTScopeNamespace, "Secret": meta.RESTScopeNamespace,
		"ConfigMap": meta.RESTScopeNamespace,
	},
	admissionregistrationv1.SchemeGroupVersion: {"MutatingWebhookConfiguration": meta.RESTScopeRoot},
	batchv1.SchemeGroupVersion:                 {"CronJob": meta.RESTScopeNamespace, "Job": meta.RESTScopeNamespace},
	appsv1.SchemeGroupVersion: {
		"ControllerRevision": meta.RESTScopeNamespace,
		"DaemonSet":          meta.RESTScopeNamespace, "Deployment": meta.RESTScopeNamespace,
		"ReplicaSet": meta.RESTScopeNamespace, "StatefulSet": meta.RESTScopeNamespace,
	},
	v1alpha1.GroupVersion: {"CachedImage": meta.RESTScopeRoot, "Repository": meta.RESTScopeRoot},
}

var scheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, coordinationv1.AddToScheme, eventsv1.AddToScheme,
		admissionregistrationv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		utilruntime.Must(add(s))
	}
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
	return s
}

// mapper knows where the kinds are without asking: discovery in a cluster with many kinds takes many seconds, and fails as a whole where one
// aggregated API does.
func mapper(*rest.Config, *http.Client) (meta.RESTMapper, error) {
	m := meta.NewDefaultRESTMapper(nil)
	for version, names := range kinds {
		for name, scope := range names {
			m.Add(version.WithKind(name), scope)
		}
	}
	return m, nil
}
