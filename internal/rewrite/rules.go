package rewrite

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

// Rules say which images are rewritten, and to what. NewRules makes them of a configuration.
type Rules struct {
	Proxy                string              // host:port of the node's proxy: "localhost:7439"
	RewriteAlways        bool                // also images whose pull policy is Always
	IgnoredImages        []*regexp.Regexp    // unanchored, on the full reference; one match is enough
	AcceptedImages       []*regexp.Regexp    // the same; none: every image
	IgnoredNamespaces    []string            // by name
	NoProxyNodeSelectors []map[string]string // a pod that asks for nodes with all labels of one goes where no proxy runs
	ComparingOwners      []string            // "Cluster.postgresql.cnpg.io": kind and group of owners that compare images
	// Unavailable says whether Larder is known to be unable to serve an image; nil: never. It is quick.
	Unavailable func(imageref.Reference) bool
}

// PolicyLabels opt a pod, or a namespace, out where the value of one is PolicyIgnore.
var PolicyLabels = []string{
	"larder.dev/image-caching-policy",
	"image-caching-policy",
	"kube-image-keeper.enix.io/image-caching-policy",
}

// PolicyIgnore is the value of PolicyLabels that opts out.
const PolicyIgnore = "ignore"

// OptedOut says whether labels ask to leave a pod, or a namespace, alone.
func OptedOut(labels map[string]string) bool {
	return slices.ContainsFunc(PolicyLabels, func(key string) bool { return labels[key] == PolicyIgnore })
}

// maxPod is the size in bytes up to which a pod surely has room for what a decision adds: etcd takes 1.5 MiB.
const maxPod = 1 << 20

// leavesPod says why a whole pod is left alone; empty where it is not.
func (r *Rules) leavesPod(req Request) Reason {
	pod := req.Pod
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	switch {
	case mirror:
		return MirrorPod
	case pod.Size() > maxPod:
		return TooLarge
	case OptedOut(pod.Labels):
		return OptOutPod
	case OptedOut(req.NamespaceLabels):
		return OptOutNamespace
	case slices.Contains(r.IgnoredNamespaces, req.Namespace):
		return IgnoredNamespace
	case onWindows(pod):
		return WindowsPod
	case slices.ContainsFunc(r.NoProxyNodeSelectors, func(labels map[string]string) bool { return selects(pod, labels) }):
		return NoProxyOnNode
	case slices.ContainsFunc(pod.OwnerReferences, r.compares):
		return OperatorCompares
	}
	return ""
}

func (r *Rules) compares(owner metav1.OwnerReference) bool {
	group, _, _ := strings.Cut(owner.APIVersion, "/")
	return slices.Contains(r.ComparingOwners, owner.Kind+"."+group)
}

// maxName is the longest name, host included, that every container runtime accepts.
const maxName = 255

// judge says in a verdict what one image becomes, or why it is left alone, and returns what it was before anybody rewrote it.
func (r *Rules) judge(req Request, n *notes, f field, v *Verdict) (original string) {
	if f.image == "" {
		v.Reason = Empty
		return ""
	}
	if ref, ok := imageref.Invert(r.Proxy, f.image); ok {
		if v.Digest = req.digest(f, ref); v.Digest == "" {
			v.Reason = AlreadyRewritten
			return ""
		}
		ref.Digest, original = v.Digest, cmp.Or(n.original(f), ref.Short())
		v.Rewritten = ref.Rewrite(r.Proxy)
		return original
	}
	ref, err := imageref.Parse(f.image)
	if err != nil || isID(f.image) {
		v.Reason = InvalidImage
		return ""
	}
	original = f.image
	if noted := n.original(f); noted != "" { // behind the proxy of another configuration
		original = noted
		ref, _ = imageref.Parse(noted) // it can: n.original did
	}
	if v.Reason = r.leaves(f.policy, ref); v.Reason != "" {
		return ""
	}
	if v.Digest = req.digest(f, ref); v.Digest != "" {
		ref.Digest = v.Digest
	}
	v.Rewritten = ref.Rewrite(r.Proxy)
	return original
}

// digest returns what is written behind the tag of an image that is rewritten. Behind that of an ephemeral container nothing is: no
// annotation could tell that it was not its owner who wrote the digest.
func (req Request) digest(f field, ref imageref.Reference) digest.Digest {
	if req.Digest == nil || req.Ephemeral || ref.Digest != "" || f.policy == corev1.PullNever || strings.HasPrefix(f.path, ephemeralPath) {
		return ""
	}
	return req.Digest(ref)
}

// leaves says why an image is left alone; empty where it is not.
func (r *Rules) leaves(policy corev1.PullPolicy, ref imageref.Reference) Reason {
	full := ref.String()
	matches := func(filter *regexp.Regexp) bool { return filter.MatchString(full) }
	switch policy = cmp.Or(policy, defaultPolicy(ref)); {
	case policy == corev1.PullNever:
		return PullPolicyNever
	case policy == corev1.PullAlways && !r.RewriteAlways:
		return PullPolicyAlways
	case onNode(ref.Repository.Host):
		return LocalRegistry
	case slices.ContainsFunc(r.IgnoredImages, matches):
		return IgnoredImage
	case len(r.AcceptedImages) > 0 && !slices.ContainsFunc(r.AcceptedImages, matches):
		return NotAcceptedImage
	case len(r.Proxy+"/"+ref.Repository.Encode()) > maxName:
		return TooLong
	case r.Unavailable != nil && r.Unavailable(ref):
		return Unavailable
	}
	return ""
}

// defaultPolicy is what the API server sets where a pod sets none.
func defaultPolicy(ref imageref.Reference) corev1.PullPolicy {
	if ref.Tag == "latest" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// isID says whether an image is named by its ID, which a runtime finds on its node and in no registry.
func isID(image string) bool {
	_, err := imageref.ParseDigest(image)
	return err == nil
}
