package rewrite

// Reason says why something is left alone, in one word for metrics, logs and annotations.
type Reason string

// The reasons that hold for a whole pod.
const (
	MirrorPod        Reason = "MirrorPod"        // stands for a static pod, which no API server changes
	TooLarge         Reason = "TooLarge"         // near the size that etcd refuses
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
	InvalidImage     Reason = "InvalidImage"     // not the name of an image in a registry
	LocalRegistry    Reason = "LocalRegistry"    // a registry on the node itself
	TooLong          Reason = "TooLong"          // the rewritten name would be longer than runtimes accept
	Unavailable      Reason = "Unavailable"      // Larder could not get it: its CachedImage says why
	Empty            Reason = "Empty"            // no image is named (yet)
)

// Explain says a reason in a person's words, and the way out.
func (r Reason) Explain() string { return explanations[r] }

var explanations = map[Reason]string{
	MirrorPod:        "a mirror of a static pod: the kubelet reads it from a file; use mirror mode for such pods",
	TooLarge:         "the pod is larger than 1 MiB and may not have room for longer names: make it smaller, or use mirror mode",
	OptOutPod:        "the pod has the label image-caching-policy=ignore: remove it to have the pod's images cached",
	OptOutNamespace:  "the namespace has the label image-caching-policy=ignore: remove it to have its pods' images cached",
	IgnoredNamespace: "pods of this namespace are left alone, like those of kube-system and Larder's own: see webhook.ignoredNamespaces; or use mirror mode",
	WindowsPod:       "a Windows pod: the node proxy runs on Linux nodes only",
	NoProxyOnNode:    "the pod asks for nodes without a proxy: see webhook.noProxyNodeSelectors",
	OperatorCompares: "the operator that made the pod compares its images with its own and would recreate it for ever: use mirror mode for it, " +
		"or write the operator's image as one behind the proxy; see webhook.comparingOwners",

	AlreadyRewritten: "pulled through Larder as it is",
	PullPolicyNever:  "imagePullPolicy is Never, so the image is never pulled: set IfNotPresent to have it cached",
	PullPolicyAlways: "imagePullPolicy is Always (by default so for the tag latest, or none): set IfNotPresent, or webhook.ignorePullPolicyAlways=false",
	IgnoredImage:     "webhook.ignoredImages matches the image: change that to have it cached",
	NotAcceptedImage: "webhook.acceptedImages does not match the image: change that to have it cached",
	InvalidImage:     "not the name of an image in a registry, as far as Larder can read it: correct it",
	LocalRegistry:    "the registry is on the node itself, where Larder's cannot reach it: name it by an address that the whole cluster reaches",
	TooLong:          "behind the proxy, the name would be longer than the 255 characters that container runtimes accept: shorten it, or use mirror mode",
	Unavailable:      "Larder could not get the image: kubectl get cachedimages says why",
	Empty:            "no image is named: name one",
}
