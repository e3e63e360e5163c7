// Package webhook answers the API server's question what is to change of a pod, and builds the configuration by which it asks. It is a thin
// shell over internal/rewrite: it decodes, has it decide, counts and answers. It asks no origin while a pod waits, the API server only how old
// the owner of a pod is whose tags are resolved, once for each, and refuses no pod: of one that it does not understand nothing changes.
package webhook

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/rewrite"
)

// Options configure a Handler.
type Options struct {
	Rules *rewrite.Rules
	// NamespaceLabels returns the labels of a namespace; nil where they are not known. It is quick. nil: they never are.
	NamespaceLabels func(ctx context.Context, namespace string) map[string]string
	// Digests returns how the tags of a pod are resolved (see Digests.Of). Nil: they are not.
	Digests func(ctx context.Context, namespace string, pod *corev1.Pod) func(imageref.Reference) digest.Digest
	Metrics prometheus.Registerer
	Log     logr.Logger
}

// Handler answers the reviews of pods and of their ephemeral containers. It is safe for concurrent use.
type Handler struct {
	o       Options
	metrics *metrics
	reviews http.Handler
}

// New returns a handler and registers its metrics.
func New(o Options) (*Handler, error) {
	if o.NamespaceLabels == nil {
		o.NamespaceLabels = func(context.Context, string) map[string]string { return nil }
	}
	h := &Handler{o: o}
	var err error
	if h.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, err
	}
	hook := &admission.Webhook{Handler: h, LogConstructor: func(base logr.Logger, _ *admission.Request) logr.Logger { return base }}
	h.reviews, err = admission.StandaloneWebhook(hook, admission.StandaloneOptions{Logger: o.Log})
	return h, err
}

// ServeHTTP answers an AdmissionReview. What is none gets an answer that the API server takes for no answer.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	h.reviews.ServeHTTP(w, r)
	h.metrics.duration.Observe(time.Since(begin).Seconds())
}

// Handle always allows.
func (h *Handler) Handle(ctx context.Context, req admission.Request) (resp admission.Response) {
	defer func() {
		if p := recover(); p != nil {
			resp = h.pass(req, fmt.Errorf("panic: %v", p))
		}
	}()
	in, err := h.read(ctx, req)
	if err != nil {
		return h.pass(req, err)
	}
	if h.o.Digests != nil {
		in.Digest = h.o.Digests(ctx, in.Namespace, in.Pod)
	}
	d := h.o.Rules.Decide(in)
	if req.DryRun == nil || !*req.DryRun {
		h.metrics.count(d)
		h.tell(in, d)
	}
	resp = admission.Allowed("")
	resp.Patches = d.Patches
	return resp
}

// pass lets a pod through as it is.
func (h *Handler) pass(req admission.Request, err error) admission.Response {
	h.metrics.failures.Inc()
	h.o.Log.Error(err, "a pod passed as it is", "namespace", req.Namespace, "pod", req.Name)
	return admission.Allowed("")
}

func (h *Handler) read(ctx context.Context, req admission.Request) (rewrite.Request, error) {
	in := rewrite.Request{
		Pod: &corev1.Pod{}, Namespace: req.Namespace, NamespaceLabels: h.o.NamespaceLabels(ctx, req.Namespace),
		Ephemeral: req.SubResource == "ephemeralcontainers",
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(req.Object.Raw, in.Pod); err != nil {
		return in, fmt.Errorf("reading the pod: %w", err)
	}
	if req.Operation != admissionv1.Update {
		return in, nil
	}
	in.Old = &corev1.Pod{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(req.OldObject.Raw, in.Old); err != nil {
		return in, fmt.Errorf("reading the pod before the update: %w", err)
	}
	return in, nil
}

// tell logs what became of a pod, for those who wonder.
func (h *Handler) tell(in rewrite.Request, d rewrite.Decision) {
	log := h.o.Log.V(1)
	if !log.Enabled() || len(d.Images) == 0 {
		return
	}
	name := in.Pod.Name
	if name == "" {
		name = in.Pod.GenerateName
	}
	rewritten, left := map[string]string{}, map[string]rewrite.Reason{}
	for _, v := range d.Images {
		if v.Rewritten != "" {
			rewritten[v.Container] = v.Rewritten
		} else {
			left[v.Container] = v.Reason
		}
	}
	log.Info("decided", "namespace", in.Namespace, "pod", name, "rewritten", rewritten, "left", left)
}
