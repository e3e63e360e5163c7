// Package control hands work over to the process that owns a data folder (rule P4): HTTP over a unix socket in that
// folder, which only the folder's owner may open. It carries requests, progress and the layouts that are imported, and decides nothing
// about what is mirrored or how.
//
// A job (/mirror, /sweep, /remove, /tag, /pin, /unpin, /grants, /revoke) is one POST of a request. The answer is a stream of JSON objects, one a
// line: any number with
// progress, then one with the result or the failure. A line comes at least every ten seconds; a stream that ends
// without a result means that the owner went away.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
)

const (
	mirrorPath = "/mirror"
	sweepPath  = "/sweep"
	removePath = "/remove"
	importPath = "/import"
	tagPath    = "/tag"
	pinPath    = "/pin"
	unpinPath  = "/unpin"
	// maxRequest bounds a request's body in bytes.
	maxRequest = 64 << 10
	// progressEvery is how often progress is written while there is some.
	progressEvery = 100 * time.Millisecond
	// aliveEvery is how often a line is written at least.
	aliveEvery = 10 * time.Second
	// silence is how long either side waits for the other before it gives up.
	silence = 60 * time.Second
)

// Mirrorer brings whole images into the store. *cache.Cache is one, and so is a Client.
type Mirrorer interface {
	Mirror(ctx context.Context, ref imageref.Reference, platforms []string, progress func(cache.Progress)) (cache.Mirrored, error)
}

// Importer brings the images of an OCI layout, a tar stream, into the store. *cache.Cache is one, and so is a Client.
type Importer interface {
	Import(ctx context.Context, layout io.Reader, told func(imageref.Reference, digest.Digest)) error
}

// Owner does all that can be asked of the owner of a data folder. A Client is one; in the owner itself, its cache and its grants are.
type Owner interface {
	Mirrorer
	Importer
	Granter
	// Sweep deletes what nothing reaches; a grace below zero is the owner's own. See cache.Cache.Sweep.
	Sweep(ctx context.Context, grace time.Duration, dryRun bool) (store.SweepReport, error)
	// Remove removes an image; store.ErrNotFound where there is none.
	Remove(ctx context.Context, ref imageref.Reference) error
	Pinner
}

// Pinner tells what a tag is and was, and has it stay at a revision. *cache.Cache is one, and so is a Client.
type Pinner interface {
	// Tag says what a tag is and was; store.ErrNotFound where it is not stored.
	Tag(ctx context.Context, ref imageref.Reference) (cache.Tag, error)
	// Pin pins a tag; see cache.Cache.Pin.
	Pin(ctx context.Context, ref imageref.Reference, pin cache.Pin, progress func(cache.Progress)) error
	// Unpin has a tag follow its origin again; see cache.Cache.Unpin.
	Unpin(ctx context.Context, ref imageref.Reference, by store.PinOwner) error
}

// Summary words the error of a mirror on one line: where several parts of an image failed, the first failure and how many more there are.
func Summary(err error) string {
	first, others, _ := strings.Cut(err.Error(), "\n")
	if others == "" {
		return first
	}
	return fmt.Sprintf("%s (and %d more)", first, 1+strings.Count(others, "\n"))
}

type request struct {
	Image     string   `json:"image"`
	Platforms []string `json:"platforms,omitempty"`
}

type sweepRequest struct {
	Grace  time.Duration `json:"grace"` // nanoseconds; < 0: the owner's own
	DryRun bool          `json:"dryRun"`
}

type removeRequest struct {
	Image string `json:"image"`
}

// event is one line of the answer. Exactly one field is set.
type event struct {
	Progress *progress          `json:"progress,omitempty"`
	Result   *result            `json:"result,omitempty"`
	Removed  *struct{}          `json:"removed,omitempty"`
	Swept    *store.SweepReport `json:"swept,omitempty"`
	Granted  *granted           `json:"granted,omitempty"`
	Failure  *failure           `json:"failure,omitempty"`
	Image    *imported          `json:"image,omitempty"` // of an import, which ends with a result of nothing
	Tag      *cache.Tag         `json:"tag,omitempty"`
}

type imported struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

type progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

type result struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Loaded int64         `json:"loaded"`

	Outcome cache.Outcome `json:"outcome,omitzero"`
}

// The codes on the socket beside those of the distribution spec.
const (
	codeNoRoom = "NO_ROOM" // store.ErrNoRoom
	codeGone   = "GONE"    // ErrGone
	codeAbsent = "ABSENT"  // store.ErrNotFound
	codeBusy   = "BUSY"    // store.ErrSweeping
	codeShared = "SHARED"  // store.ErrShared

	codeObject    = "PINNED_BY_OBJECT" // cache.ErrPinnedByObject
	codeNotPinned = "NOT_PINNED"       // cache.ErrNotPinned
)

// failure carries an error so that the client can say what to do about it.
type failure struct {
	Message    string        `json:"message"`
	Code       string        `json:"code,omitempty"`
	Status     int           `json:"status,omitempty"`
	RetryAfter time.Duration `json:"retryAfter,omitempty"` // nanoseconds

	Reason upstream.Reason `json:"reason,omitempty"` // of the origin's failure behind it
	Until  time.Time       `json:"until,omitzero"`   // of a remembered one
}

func newFailure(err error) *failure {
	f := &failure{Message: err.Error()}
	if origin, ok := errors.AsType[*upstream.Error](err); ok {
		f.Reason = origin.Reason
	}
	if remembered, ok := errors.AsType[*cache.Remembered](err); ok {
		f.Until = remembered.Until
	}
	var wire *cache.Error
	switch {
	case errors.As(err, &wire):
		f.Code, f.Status, f.RetryAfter = string(wire.Code), wire.Status, wire.RetryAfter
	case errors.Is(err, store.ErrNoRoom):
		f.Code = codeNoRoom
	case errors.Is(err, ErrGone):
		f.Code = codeGone
	case errors.Is(err, store.ErrNotFound):
		f.Code = codeAbsent
	case errors.Is(err, store.ErrSweeping):
		f.Code = codeBusy
	case errors.Is(err, store.ErrShared):
		f.Code = codeShared
	case errors.Is(err, cache.ErrPinnedByObject):
		f.Code = codeObject
	case errors.Is(err, cache.ErrNotPinned):
		f.Code = codeNotPinned
	}
	return f
}

func (f *failure) err() error {
	err := errors.New(f.Message)
	if f.Reason != "" {
		err = &described{message: f.Message, cause: &upstream.Error{Reason: f.Reason, Err: err}}
	}
	if !f.Until.IsZero() {
		err = &cache.Remembered{Err: err, Until: f.Until}
	}
	switch f.Code {
	case "":
		return err
	case codeNoRoom:
		return &described{message: f.Message, cause: store.ErrNoRoom}
	case codeGone:
		return &described{message: f.Message, cause: ErrGone}
	case codeAbsent:
		return &described{message: f.Message, cause: store.ErrNotFound}
	case codeBusy:
		return &described{message: f.Message, cause: store.ErrSweeping}
	case codeShared:
		return &described{message: f.Message, cause: store.ErrShared}
	case codeObject:
		return &described{message: f.Message, cause: cache.ErrPinnedByObject}
	case codeNotPinned:
		return &described{message: f.Message, cause: cache.ErrNotPinned}
	default:
		return &cache.Error{Code: cache.Code(f.Code), Status: f.Status, RetryAfter: f.RetryAfter, Err: err}
	}
}

// described is a known error under the words that the other process found for it.
type described struct {
	message string
	cause   error
}

func (d *described) Error() string { return d.message }
func (d *described) Unwrap() error { return d.cause }
