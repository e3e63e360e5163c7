package mirror

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
)

// failure is why an image could not be brought in or checked, in a person's words.
type failure struct {
	reason  string // of a condition
	kind    string // tells failures of one reason apart; unlike what, it is the same at each retry
	what    string // happened
	advice  string // what to do about it
	stalled bool   // it stays so until a person acts
}

func (f *failure) message() string {
	if f.advice == "" {
		return f.what
	}
	return f.what + ": " + f.advice
}

// sameAs says whether an earlier failure was the same one, perhaps in other words: then those stand.
func (f *failure) sameAs(earlier *failure) bool {
	return earlier != nil && earlier.reason == f.reason && earlier.kind == f.kind
}

// explain classifies an error of the cache. Part says that the image itself is there, and the error is about something in it.
func explain(ref imageref.Reference, part bool, err error) failure {
	origin, failedThere := errors.AsType[*upstream.Error](err)
	switch {
	case errors.Is(err, cache.ErrNoPlatform):
		return failure{
			reason: v1alpha1.ReasonNoPlatform, kind: firstLine(err), what: firstLine(err), stalled: true,
			advice: "set platforms in a Repository for " + ref.Repository.String() + ", or delete this object",
		}
	case errors.Is(err, store.ErrNoRoom):
		return failure{
			reason: v1alpha1.ReasonStorageFailed, kind: "room", what: "the registry's disk is full",
			advice: "enlarge its volume",
		}
	case failedThere:
		f := explainOrigin(ref, part, origin)
		f.kind = fmt.Sprintf("%s %d %t %t", origin.Reason, origin.Status, origin.Timeout, part)
		return f
	}
	if answer, ok := errors.AsType[*cache.Error](err); ok && answer.Code == cache.CodeUnavailable {
		return failure{reason: v1alpha1.ReasonOriginFailed, what: "the origin did not answer in time", advice: retried}
	}
	return failure{reason: v1alpha1.ReasonStorageFailed, what: "the registry's storage failed (" + firstLine(err) + ")", advice: "see the registry's log"}
}

const retried = "it is tried again by itself"

func explainOrigin(ref imageref.Reference, part bool, e *upstream.Error) failure {
	host, cause := cmp.Or(e.Host, ref.Repository.Host), firstLine(e.Err) // it need not be the one in the name
	switch e.Reason {
	case upstream.NotFound:
		f := failure{
			reason: v1alpha1.ReasonNotFound, stalled: true,
			what: fmt.Sprintf("the origin %s has no such image", host), advice: "correct the tag in the pods that use it, or delete this object",
		}
		if ref.Digest != "" {
			f.advice = "correct the digest in the pods that use it, or delete this object"
		}
		if part {
			f.what, f.advice = fmt.Sprintf("the origin %s lacks a part of the image (%s)", host, cause), "push it again or delete this object"
		}
		return f
	case upstream.Denied:
		return failure{
			reason: v1alpha1.ReasonDenied, stalled: true,
			what: fmt.Sprintf("the origin %s accepts none of the credentials for %s", host, ref.Repository),
			advice: "check the name, the imagePullSecrets of the pods that use it, and pullSecretNames of its Repository; " +
				"then annotate this object with " + v1alpha1.AnnotationRefresh + "=<any new value>",
		}
	case upstream.Refused:
		return failure{
			reason: v1alpha1.ReasonRefused, stalled: true,
			what:   fmt.Sprintf("Larder does not connect to %s (%s)", host, cause),
			advice: "delete this object, or correct what is configured for that origin",
		}
	case upstream.RateLimited:
		return failure{
			reason: v1alpha1.ReasonRateLimited, what: fmt.Sprintf("the origin %s was asked too much", host),
			advice: retried + "; a credential in pullSecretNames of its Repository may raise the limit",
		}
	case upstream.Invalid:
		return failure{
			reason: v1alpha1.ReasonOriginFailed, what: fmt.Sprintf("the origin %s answers with what is no image (%s)", host, cause), advice: retried,
		}
	}
	return failure{reason: v1alpha1.ReasonOriginFailed, what: fmt.Sprintf("the origin %s cannot be reached (%s)", host, cause), advice: retried}
}

// firstLine is an error without the others that are joined to it.
func firstLine(err error) string {
	if err == nil {
		return "no reason is known"
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// saidBefore is the failure that a status tells of: it stands until a mirror of this process has ended otherwise, or got somewhere.
func saidBefore(s *v1alpha1.CachedImageStatus) *failure {
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
	if s.Phase != v1alpha1.CachedImageFailed || c == nil {
		return nil
	}
	return &failure{
		reason: c.Reason, what: c.Message,
		stalled: meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionStalled) != nil,
	}
}
