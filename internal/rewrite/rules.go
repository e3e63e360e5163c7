package rewrite

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

// Rules say which images are rewritten, and to what.
type Rules struct {
	Proxy                string              // host:port of the node's proxy: "localhost:7439"
	RewriteAlways        bool                // also images whose pull policy is Always
	IgnoredImages        []*regexp.Regexp    // unanchored, on the full reference; one match is enough
	AcceptedImages       []*regexp.Regexp    // the same; none: every image
	IgnoredNamespaces    []string            // by name
	NoProxyNodeSelectors []map[string]string // a pod whose node selector has all labels of one goes where no proxy runs
	ComparingOwners      []string            // "Cluster.postgresql.cnpg.io": kind and group of owners that compare images
	// Unavailable says whether Larder is known to be unable to serve an image; nil: never. It is quick.
	Unavailable func(imageref.Reference) bool
}

// policyLabels opt a pod, or a namespace, out where their value is policyIgnore.
var policyLabels = []string{
	"larder.dev/image-caching-policy",
	"image-caching-policy",
	"kube-image-keeper.enix.io/image-caching-policy",
}

const policyIgnore = "ignore"

// OptedOut says whether labels ask to leave a pod, or a namespace, alone.
func OptedOut(labels map[string]string) bool {
	return slices.ContainsFunc(policyLabels, func(key string) bool { return labels[key] == policyIgnore })
}

// leavesPod says why a whole pod is left alone; empty where it is not.
func (r *Rules) leavesPod(req Request) Reason {
	pod := req.Pod
	switch {
	case pod.Annotations[corev1.MirrorPodAnnotationKey] != "":
		return MirrorPod
	case OptedOut(pod.Labels):
		return OptOutPod
	case OptedOut(req.NamespaceLabels):
		return OptOutNamespace
	case slices.Contains(r.IgnoredNamespaces, req.Namespace):
		return IgnoredNamespace
	case isWindows(pod):
		return WindowsPod
	case slices.ContainsFunc(r.NoProxyNodeSelectors, func(labels map[string]string) bool { return selects(pod, labels) }):
		return NoProxyOnNode
	case slices.ContainsFunc(pod.OwnerReferences, r.compares):
		return OperatorCompares
	}
	return ""
}

func isWindows(pod *corev1.Pod) bool {
	return pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows || pod.Spec.NodeSelector[corev1.LabelOSStable] == string(corev1.Windows)
}

// selects says whether a pod's node selector has all of the labels.
func selects(pod *corev1.Pod, labels map[string]string) bool {
	for key, value := range labels {
		if have, ok := pod.Spec.NodeSelector[key]; !ok || have != value {
			return false
		}
	}
	return len(labels) > 0
}

func (r *Rules) compares(owner metav1.OwnerReference) bool {
	group, _, _ := strings.Cut(owner.APIVersion, "/")
	return slices.Contains(r.ComparingOwners, owner.Kind+"."+group)
}

// maxName is the longest name of a repository that container runtimes accept.
const maxName = 255

// judge says what becomes of one image.
func (r *Rules) judge(pod *corev1.Pod, f field) Verdict {
	v := Verdict{Container: f.name, Path: f.path, Image: f.image}
	if f.image == "" {
		v.Reason = Empty
		return v
	}
	if _, ok := imageref.Invert(r.Proxy, f.image); ok {
		v.Reason = AlreadyRewritten
		return v
	}
	ref, err := imageref.Parse(f.image)
	if err != nil {
		v.Reason = InvalidImage
		return v
	}
	if former, ok := formerly(pod, f, ref); ok {
		ref = former
	}
	if v.Reason = r.leaves(f, ref); v.Reason == "" {
		v.Rewritten = ref.Rewrite(r.Proxy)
	}
	return v
}

// leaves says why an image is left alone; empty where it is not.
func (r *Rules) leaves(f field, ref imageref.Reference) Reason {
	full := ref.String()
	matches := func(filter *regexp.Regexp) bool { return filter.MatchString(full) }
	switch {
	case f.policy == corev1.PullNever:
		return PullPolicyNever
	case f.policy == corev1.PullAlways && !r.RewriteAlways:
		return PullPolicyAlways
	case onLoopback(ref.Repository.Host):
		return LocalRegistry
	case slices.ContainsFunc(r.IgnoredImages, matches):
		return IgnoredImage
	case len(r.AcceptedImages) > 0 && !slices.ContainsFunc(r.AcceptedImages, matches):
		return NotAcceptedImage
	case len(ref.Repository.Encode()) > maxName:
		return TooLong
	case r.Unavailable != nil && r.Unavailable(ref):
		return Unavailable
	}
	return ""
}

// onLoopback says whether a registry is on the node itself.
func onLoopback(host string) bool {
	name := host
	if at := strings.LastIndexByte(host, ':'); at > strings.LastIndexByte(host, ']') {
		name = host[:at]
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || err == nil && addr.IsLoopback()
}
