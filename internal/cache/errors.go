package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
)

// Code is an error code of the distribution spec.
type Code string

// The codes that a cache has use for.
const (
	CodeManifestUnknown Code = "MANIFEST_UNKNOWN"
	CodeBlobUnknown     Code = "BLOB_UNKNOWN"
	CodeNameUnknown     Code = "NAME_UNKNOWN"
	CodeDenied          Code = upstream.CodeDenied
	CodeTooManyRequests Code = upstream.CodeTooManyRequests
	CodeUnavailable     Code = upstream.CodeUnavailable // the origin failed: 502 or 504
)

// Error is an answer that is not the content.
type Error struct {
	Code       Code
	Status     int           // HTTP status: 404, 403, 429, 502, 504
	RetryAfter time.Duration // with 429, where the origin said it; else 0
	Err        error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Remembered is a failure that an origin answered a moment ago, and not for the one who is told of it (T9).
type Remembered struct {
	Err   error
	Until time.Time // when the origin is asked anew
}

func (r *Remembered) Error() string { return r.Err.Error() }

// Unwrap returns the failure.
func (r *Remembered) Unwrap() error { return r.Err }

// ErrNoPlatform is returned for a mirror of an index that has none of the wanted platforms.
var ErrNoPlatform = errors.New("none of the wanted platforms is in the image")

// ErrRange is returned for a range that lies outside the blob; the Blob returned beside it tells the size.
var ErrRange = fetch.ErrRange

// answer turns an origin's failure into what a client is told (T9); unknown is the code of a 404. What did not fail
// at the origin stays as it is.
func answer(err error, unknown Code) error {
	var up *upstream.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &up):
		code, status := up.Answer(string(unknown))
		return &Error{Code: Code(code), Status: status, RetryAfter: up.RetryAfter, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: CodeUnavailable, Status: http.StatusGatewayTimeout, Err: fmt.Errorf("waiting for the origin: %w", err)}
	}
	return err
}

// reasonOf names a failed check for Cache-Status, metrics and logs: "timeout", "unreachable", "404", "503" ...
func reasonOf(err error) string {
	var up *upstream.Error
	switch {
	case !errors.As(err, &up):
		return storageReason(err)
	case up.Status >= http.StatusBadRequest: // a 200 can be as bad: its body was not
		return fmt.Sprint(up.Status)
	case up.Timeout:
		return "timeout"
	}
	return string(up.Reason)
}

func storageReason(err error) string {
	if errors.Is(err, store.ErrNoRoom) {
		return "no-room"
	}
	return "storage"
}
