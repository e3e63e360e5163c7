package pull

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
)

// advice says what a person can do about the failure of one image; empty where nobody knows.
func advice(ref imageref.Reference, err error) string {
	if errors.Is(err, store.ErrNoRoom) {
		return "make room on the disk of the data folder"
	}
	origin, failedThere := errors.AsType[*upstream.Error](err)
	if failedThere && origin.Reason == upstream.Refused {
		return adviceForRefused(hostOf(ref, origin), origin)
	}
	if failedThere && origin.Reason == upstream.Invalid {
		return fmt.Sprintf("tell whoever runs %s, which can be reached but sends what it should not, or give another endpoint for it in the configuration file",
			hostOf(ref, origin))
	}
	if answer, ok := errors.AsType[*cache.Error](err); ok {
		return adviceFor(ref, answer)
	}
	if failedThere {
		code, _ := origin.Answer(string(cache.CodeManifestUnknown))
		return adviceFor(ref, &cache.Error{Code: cache.Code(code), RetryAfter: origin.RetryAfter, Err: origin})
	}
	return ""
}

// hostOf is the origin that failed, which need not be the one in the name.
func hostOf(ref imageref.Reference, err error) string {
	if origin, ok := errors.AsType[*upstream.Error](err); ok && origin.Host != "" {
		return origin.Host
	}
	return ref.Repository.Host
}

// adviceForRefused tells addresses apart that may be allowed from those that never are. Another process's refusal is known by its
// words alone.
func adviceForRefused(host string, refused error) string {
	if strings.Contains(refused.Error(), "loopback address") {
		return fmt.Sprintf("to allow it, list it in the configuration file: {host: '%s', endpoints: ['%s']}", host, loopbackEndpoint(host))
	}
	if strings.Contains(refused.Error(), "allowedOrigins") {
		return fmt.Sprintf("to allow it, add %s to allowedOrigins in the configuration file", host)
	}
	return fmt.Sprintf("remove %s from what you pull, or from the configuration file what leads there: Larder never connects to it", host)
}

// loopbackEndpoint is an endpoint that is written as one on loopback: a name that only resolves to it is refused all the same.
func loopbackEndpoint(host string) string {
	name, _, _ := strings.Cut(host, ":")
	if addr, err := netip.ParseAddr(name); name == "localhost" || err == nil && addr.IsLoopback() {
		return "http://" + host
	}
	return "http://127.0.0.1:PORT"
}

func adviceFor(ref imageref.Reference, e *cache.Error) string {
	host := hostOf(ref, e)
	switch e.Code {
	case cache.CodeDenied:
		return fmt.Sprintf("check the name; where the image is private, log in with docker login %s, or set credentialsFile for it in the configuration file", host)
	case cache.CodeManifestUnknown, cache.CodeBlobUnknown, cache.CodeNameUnknown:
		return fmt.Sprintf("check the name and the tag: %s does not have it", host)
	case cache.CodeTooManyRequests:
		if e.RetryAfter > 0 {
			return fmt.Sprintf("try again in %v, or log in with docker login %s for a higher limit", e.RetryAfter, host)
		}
		return fmt.Sprintf("try again later, or log in with docker login %s for a higher limit", host)
	case cache.CodeUnavailable:
		return fmt.Sprintf("check that %s can be reached from here, or give another endpoint for it in the configuration file", host)
	default:
		return ""
	}
}
