package rewrite

// Reason says why something is left alone, in one word for metrics, logs and annotations.
type Reason string

// The reasons that hold for a whole pod.
const (
	MirrorPod        Reason = "MirrorPod"        // stands for a static pod, which no API server changes
	OptOutPod        Reason = "OptOutPod"        // the label image-caching-policy=ignore on the pod
	OptOutNamespace  Reason = "OptOutNamespace"  // the same on its namespace
	IgnoredNamespace Reason = "IgnoredNamespace" // kube-system, Larder's own, webhook.ignoredNamespaces
	WindowsPod       Reason = "WindowsPod"       // no proxy runs on Windows nodes
	NoProxyOnNode    Reason = "NoProxyOnNode"    // its node selector leads where no proxy runs
	OperatorCompares Reason = "OperatorCompares" // its operator compares images and would recreate it for ever
)

// The reasons that hold for one image.
const (
	AlreadyRewritten Reason = "AlreadyRewritten" // pulled through Larder as it is
	PullPolicyNever  Reason = "PullPolicyNever"  // the node has the image, or nobody
	PullPolicyAlways Reason = "PullPolicyAlways" // its owner wants the registry asked at each start
	IgnoredImage     Reason = "IgnoredImage"     // webhook.ignoredImages matches
	NotAcceptedImage Reason = "NotAcceptedImage" // webhook.acceptedImages does not
	InvalidImage     Reason = "InvalidImage"     // cannot be parsed; the kubelet will say so
	LocalRegistry    Reason = "LocalRegistry"    // a registry on the node's own loopback address
	TooLong          Reason = "TooLong"          // the rewritten name would be longer than runtimes accept
	Unavailable      Reason = "Unavailable"      // Larder could not get it: its CachedImage says why
	Empty            Reason = "Empty"            // no image is named (yet)
)

// Explain says a reason in a person's words, and the way out.
func (r Reason) Explain() string { return explanations[r] }

var explanations = map[Reason]string{
	MirrorPod:        "a mirror of a static pod: the kubelet reads it from a file; use mirror mode for such pods",
	OptOutPod:        "the pod has the label image-caching-policy=ignore: remove it to have the pod's images cached",
	OptOutNamespace:  "the namespace has the label image-caching-policy=ignore: remove it to have its pods' images cached",
	IgnoredNamespace: "pods of this namespace are left alone: see ignoredNamespaces",
	WindowsPod:       "a Windows pod: the node proxy runs on Linux nodes only",
	NoProxyOnNode:    "the node selector leads to nodes without a proxy: see noProxyNodeSelectors",
	OperatorCompares: "the operator that made the pod compares its images with its own and would recreate it for ever; use mirror mode for it",
	AlreadyRewritten: "pulled through Larder already",
	PullPolicyNever:  "imagePullPolicy is Never: the image is never pulled",
	PullPolicyAlways: "imagePullPolicy is Always (also by default for the tag latest, or no tag): set IfNotPresent, or ignorePullPolicyAlways=false",
	IgnoredImage:     "ignoredImages matches the image",
	NotAcceptedImage: "acceptedImages does not match the image",
	InvalidImage:     "the image cannot be parsed: correct it",
	LocalRegistry:    "the registry is on the node's own loopback address: Larder's registry cannot reach it",
	TooLong:          "the rewritten name would be longer than the 255 characters that container runtimes accept",
	Unavailable:      "Larder could not get the image: see its CachedImage",
	Empty:            "no image is named",
}
