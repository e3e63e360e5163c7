package fetch

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/larder-dev/larder/internal/store"
	"github.com/larder-dev/larder/internal/upstream"
)

// The causes of a failure that lie on our side.
const (
	causeNoRoom  = "no_room"
	causeStorage = "storage"
)

// spoolError says that the store could not take the bytes: readers go on without it (B7).
type spoolError struct{ err error }

func (e *spoolError) Error() string { return "storing: " + e.err.Error() }

// Unwrap returns the cause.
func (e *spoolError) Unwrap() error { return e.err }

// asSpoolError returns err as a *spoolError; a full disk is store.ErrNoRoom, whoever noticed it.
func asSpoolError(err error) error {
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if full && !errors.Is(err, store.ErrNoRoom) {
		err = fmt.Errorf("%w: %w", store.ErrNoRoom, err)
	}
	return &spoolError{err}
}

// unstored says whether err means that readers have to do without the store.
func unstored(err error) bool { return errors.As(err, new(*spoolError)) }

// cause names a failure for metrics.
func cause(err error) string {
	var up *upstream.Error
	switch {
	case errors.As(err, &up):
		return string(up.Reason)
	case errors.Is(err, store.ErrNoRoom):
		return causeNoRoom
	}
	return causeStorage
}

// report counts and logs how the transfer ended.
func (t *transfer) report(err error, took time.Duration) {
	log := t.m.log.WithValues("origin", t.m.origin.Place(t.repo), "repository", t.repo.String(), "digest", t.desc.Digest, "duration", took)
	if err == nil {
		log.V(1).Info("blob fetched")
		return
	}
	if errors.Is(err, ErrClosed) {
		log.V(1).Info("blob fetch aborted")
		return
	}
	t.m.metrics.FetchFailures.WithLabelValues(cause(err)).Inc()
	if unstored(err) && !t.progress.isVerified() {
		t.m.noRoom.Do(func() { log.Error(err, "blob cannot be stored, clients stream it from the origin") })
		return
	}
	log.Error(err, "blob fetch failed", "cause", cause(err))
}
