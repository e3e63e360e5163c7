package grant

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/larder-dev/larder/internal/upstream"
)

// Reason says in a word why a pull is refused.
type Reason string

// The reasons.
const (
	NoNode      Reason = "no_node"            // the request names no node, and not everybody may have the image
	NoPod       Reason = "no_pod"             // no pod on the node uses the repository
	PodsUnknown Reason = "pods_unknown"       // the API server has not told yet which pods there are
	NoSecret    Reason = "no_secret"          // the pods that use it have no pull secret for it
	Refused     Reason = "refused"            // the origin accepts none of their credentials, or may not be asked
	Unavailable Reason = "origin_unavailable" // the origin cannot be asked now
	NotFound    Reason = "not_found"          // the origin shows it to nobody who was tried
	Storage     Reason = "storage"            // the grants cannot be read
)

// Refusal is the error of a pull that is not allowed. It says why, and holds nothing of a credential.
type Refusal struct {
	Reason  Reason
	Message string
	Pods    []Pod // whom it concerns
}

func (r *Refusal) Error() string { return r.Message }

// refusal words what a hearing came to.
func (h *hearing) refusal() *Refusal {
	r := &Refusal{Pods: h.pods}
	repo, node := h.request.Repo, h.request.Node
	if refused, ok := errors.AsType[*upstream.Error](h.said.denied); ok && refused.Reason == upstream.Refused {
		r.Reason = Refused
		return r.say("access to %s is denied: %v", repo, refused) // and nobody's credential would change it
	}
	var why string
	switch {
	case node == "":
		r.Reason, why = NoNode, "the request names no node, as those of larder-proxy do"
	case h.unknown:
		r.Reason, why = PodsUnknown, fmt.Sprintf("the API server has not told yet which pods run on node %s", node)
	case len(h.pods) == 0:
		r.Reason, why = NoPod, fmt.Sprintf("no pod on node %s uses it", node)
	case h.tried == 0:
		r.Reason, why = NoSecret, fmt.Sprintf("%s has no pull secret for it", h.names())
	case h.said.unavailable != nil:
		r.Reason, why = Unavailable, fmt.Sprintf("%s needs the origin's yes", h.names())
	default:
		r.Reason, why = Refused, fmt.Sprintf("the origin accepts none of the %d credentials of %s", h.tried, h.names())
	}
	switch {
	case h.said.unavailable != nil:
		return r.say("access to %s is denied: %s, and who else may have it cannot be found out now: %v", repo, why, h.said.unavailable)
	case h.said.denied == nil && h.said.notFound != nil:
		r.Reason = NotFound
		return r.say("the origin shows %s to nobody who asks for it here (%s): %v", repo, why, h.said.notFound)
	}
	return r.say("access to %s is denied: %s, and the origin does not give it to everybody", repo, why)
}

func (r *Refusal) say(format string, args ...any) *Refusal {
	r.Message = fmt.Sprintf(format, args...)
	return r
}

// maxNamed is how many pods a message names.
const maxNamed = 3

// names words the pods that a request is for. Those of several tenants are not told of each other.
func (h *hearing) names() string {
	if slices.ContainsFunc(h.pods, func(pod Pod) bool { return pod.Namespace != h.pods[0].Namespace }) {
		return fmt.Sprintf("each of the %d pods that use it on node %s", len(h.pods), h.request.Node)
	}
	var names []string
	for _, pod := range h.pods[:min(len(h.pods), maxNamed)] {
		names = append(names, pod.Namespace+"/"+pod.Name)
	}
	more := ""
	if n := len(h.pods) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("pod %s%s on node %s", strings.Join(names, ", "), more, h.request.Node)
}

// answers are the failures of confirmations, the last of each kind.
type answers struct{ unavailable, denied, notFound error }

func (a *answers) add(err error) {
	var origin *upstream.Error
	switch {
	case !errors.As(err, &origin):
		a.unavailable = err
	case origin.Reason == upstream.Denied, origin.Reason == upstream.Refused:
		a.denied = err
	case origin.Reason == upstream.NotFound:
		a.notFound = err
	default:
		a.unavailable = err
	}
}

func (a *answers) merge(others answers) {
	a.unavailable = cmp.Or(others.unavailable, a.unavailable)
	a.denied = cmp.Or(others.denied, a.denied)
	a.notFound = cmp.Or(others.notFound, a.notFound)
}
