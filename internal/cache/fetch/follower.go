package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
)

// maxSend is the most that is handed to the client's connection in one call: between two calls a reader learns that its
// transfer failed.
const maxSend = 4 << 20

// firstSend is the most of a reader's first call: what has arrived goes to each of a crowd of readers a little at first, and to the next
// one then, so that the last of them does not wait until all others have everything.
const firstSend = 4 << 10

// follower reads along with a transfer, from a file and an offset of its own.
type follower struct {
	t      *transfer
	file   io.ReadSeeker
	closer io.Closer
	pos    int64
	end    int64                                   // one past the last byte; < 0: not known
	gone   <-chan struct{}                         // closed when the client is gone
	divert func(f *follower) (*passThrough, error) // goes on without the spool
}

// open gives a reader of [start, end) its own file: the spool, or the stored blob which that became.
func (t *transfer) open(ctx context.Context, start, end int64) (*follower, error) {
	f := &follower{t: t, pos: start, end: end, gone: ctx.Done()}
	if err := f.openFile(ctx); err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", t.desc.Digest, err)
	}
	if _, err := f.file.Seek(start, io.SeekStart); err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", t.desc.Digest, errors.Join(err, f.closer.Close()))
	}
	t.progress.attend(1)
	t.m.metrics.FetchReaders.Inc()
	return f, nil
}

func (f *follower) openFile(ctx context.Context) error {
	if f.t.spool != nil {
		file, err := f.t.spool.Open()
		if err == nil {
			f.file, f.closer = file, file
			return nil
		}
		if !f.t.progress.isVerified() {
			return asSpoolError(err)
		}
	}
	blob, err := f.t.m.store.OpenBlob(ctx, f.t.desc.Digest, -1)
	if err != nil {
		return err
	}
	f.file, f.closer = blob, blob
	if blob.File != nil {
		f.file = blob.File
	}
	return nil
}

// WriteTo sends what has arrived, waits for more, and so on to the end.
func (f *follower) WriteTo(w io.Writer) (int64, error) {
	start := f.pos
	for limit := int64(firstSend); f.end < 0 || f.pos < f.end; limit = maxSend {
		n, err := f.await(w)
		switch {
		case errors.Is(err, io.EOF) && f.end < 0:
			return f.pos - start, nil
		case unstored(err):
			sent, err := f.leaveSpool(w)
			return f.pos - start + sent, err
		case err != nil:
			return f.pos - start, err
		}
		if err := f.send(w, min(n, limit)); err != nil {
			return f.pos - start, err
		}
		if limit == firstSend {
			runtime.Gosched()
		}
	}
	return f.pos - start, nil
}

// await returns how many bytes can be sent now, when there are some.
func (f *follower) await(w io.Writer) (int64, error) {
	for {
		n, wake, err := f.t.progress.available(f.pos)
		if err != nil || n > 0 {
			return n, err
		}
		flush(w)
		select {
		case <-wake:
		case <-f.gone:
			return 0, fmt.Errorf("sending blob %s: the client is gone: %w", f.t.desc.Digest, context.Canceled)
		}
	}
}

// send hands at most n bytes to w as a file under one LimitedReader, which is what net/http and net turn into sendfile.
func (f *follower) send(w io.Writer, n int64) error {
	if f.end >= 0 {
		n = min(n, f.end-f.pos)
	}
	sent, err := io.Copy(w, &io.LimitedReader{R: f.file, N: n})
	f.pos += sent
	if err == nil && sent < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("sending blob %s: %w", f.t.desc.Digest, err)
	}
	return nil
}

// leaveSpool goes on from the origin after the store failed (B7).
func (f *follower) leaveSpool(w io.Writer) (int64, error) {
	p, err := f.divert(f)
	if err != nil {
		return 0, err
	}
	sent, err := p.WriteTo(w)
	return sent, errors.Join(err, p.Close())
}

// Close gives the file back.
func (f *follower) Close() error {
	f.t.progress.attend(-1)
	f.t.m.metrics.FetchReaders.Dec()
	return f.closer.Close()
}
