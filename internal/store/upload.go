package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path"
	"sync"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

const (
	// wholeUpload is the size up to which a blob is uploaded when it is complete: to S3 by one request. A larger one takes a request to
	// begin, one for each chunk and one to end, and is uploaded while it arrives.
	wholeUpload = 4 << 20
	// cancelTimeout bounds the removal of what an upload has left, also where its caller has gone.
	cancelTimeout = 10 * time.Second
)

// upload brings one spool to object storage: what lies under the blob's key there is always whole. It reads the spool's file, so that
// storage that is slower than the origin holds up no reader.
type upload struct {
	objects *objects
	file    string
	dest    string
	key     string // dest, or a temporary one that is moved in the end

	mu      sync.Mutex
	written int64
	whole   bool               // written is all there is
	wake    chan struct{}      // holds a token where the above changed
	cancel  context.CancelFunc // nil: not begun
	done    chan struct{}      // closed when the copy ended, with what follows
	ended   sync.Once
	token   chan struct{} // whence the upload has its token; nil: it has none
	w       storagedriver.FileWriter
	err     error
}

// begin returns what brings a spool to its place.
func (o *objects) begin(file, dest string) placement {
	u := &upload{objects: o, file: file, dest: dest, key: dest, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if !o.final {
		u.key = path.Join(uploadsRoot, rand.Text())
	}
	return u
}

func (u *upload) grown(written int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.written = written
	if written > wholeUpload && u.cancel == nil {
		select {
		case u.objects.arriving <- struct{}{}:
			u.start(func(context.Context) (chan struct{}, error) { return u.objects.arriving, nil })
		default: // it is uploaded when it has arrived
		}
	}
	u.rouse()
}

// start begins to copy once enter has taken a token. The lock is held.
func (u *upload) start(enter func(context.Context) (chan struct{}, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel = cancel
	go u.run(ctx, enter)
}

// enter takes a token for a blob that has arrived.
func (o *objects) enter(ctx context.Context) (chan struct{}, error) {
	select {
	case o.whole <- struct{}{}:
		return o.whole, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (u *upload) rouse() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// run copies the file as it grows.
func (u *upload) run(ctx context.Context, enter func(context.Context) (chan struct{}, error)) {
	defer close(u.done)
	if u.token, u.err = enter(ctx); u.err == nil {
		u.err = u.copy(ctx)
	}
}

func (u *upload) copy(ctx context.Context) error {
	file, err := os.Open(u.file)
	if err != nil {
		return err
	}
	defer file.Close()
	if u.w, err = u.objects.writer(ctx, u.key); err != nil {
		return err
	}
	for sent := int64(0); ; {
		written, whole := u.state()
		n, err := io.CopyN(u.w, interruptible{ctx, file}, written-sent)
		if err != nil {
			return err
		}
		if sent += n; whole && sent == written {
			return nil
		}
		select {
		case <-u.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (u *upload) state() (written int64, whole bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.written, u.whole
}

// place completes the upload. What has been verified can be seen from then on.
func (u *upload) place(ctx context.Context) error {
	err := u.complete(ctx)
	if err != nil {
		return fmt.Errorf("uploading %s: %w", u.dest, fromDriver(err))
	}
	u.end(func(context.Context) {})
	// It is stored: what is left of the spool is removed when the next process opens it.
	if err := os.Remove(u.file); err != nil {
		u.objects.log.Error(err, "uploaded spool not removed", "file", u.file)
	}
	return nil
}

func (u *upload) complete(ctx context.Context) error {
	if !u.finish() {
		return u.putWhole(ctx)
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if u.err != nil {
		return u.err
	}
	if err := u.w.Commit(ctx); err != nil {
		return err
	}
	if u.key == u.dest {
		return nil
	}
	if err := u.objects.driver.Move(ctx, u.key, u.dest); err != nil {
		u.objects.discard(ctx, u.key)
		return fmt.Errorf("moving it to its key: %w", fromDriver(err))
	}
	return nil
}

// finish says that no more bytes come, and returns whether they are copied. Of small blobs those for S3 are not.
func (u *upload) finish() (copied bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.whole = true
	if u.cancel == nil && (!u.objects.final || u.written > wholeUpload) {
		u.start(u.objects.enter)
	}
	u.rouse()
	return u.cancel != nil
}

func (u *upload) putWhole(ctx context.Context) error {
	token, err := u.objects.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { <-token }()
	content, err := os.ReadFile(u.file)
	if err != nil {
		return err
	}
	return u.objects.put(ctx, u.dest, content)
}

// discard takes back what was not placed.
func (u *upload) discard() { u.end(func(ctx context.Context) { _ = u.w.Cancel(ctx) }) }

// end stops the copy and gives back the driver's buffers, once.
func (u *upload) end(first func(context.Context)) {
	u.mu.Lock()
	cancel := u.cancel
	u.mu.Unlock()
	if cancel == nil {
		return
	}
	u.ended.Do(func() {
		cancel()
		<-u.done
		if u.token == nil {
			return
		}
		defer func() { <-u.token }()
		if u.w == nil {
			return
		}
		ctx, stop := context.WithTimeout(context.Background(), cancelTimeout)
		defer stop()
		first(ctx)
		_ = u.w.Close() // after Commit or Cancel its error means nothing
	})
}
