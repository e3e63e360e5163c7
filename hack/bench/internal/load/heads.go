package load

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-dev/larder/hack/bench/internal/content"
)

// Latencies are how long the answers took, in ascending order.
type Latencies []time.Duration

// Quantile returns the latency within which the share q of the answers came.
func (l Latencies) Quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(int(q*float64(len(l))), len(l)-1)]
}

// Head is a request whose answers must have status 200 and this digest.
type Head struct {
	Address string // IPv4
	Path    string
	Digest  string
	Length  int // of the body that is not sent
}

// Heads asks as fast as the server answers, on n kept connections with one request at a time each, for as long as d. An
// answer that is not right ends it with an error. One thread does it all, by epoll: net/http's client, or a goroutine for each
// connection, would need more of the machine than the servers that are measured.
func Heads(ctx context.Context, h Head, n int, d time.Duration) (Latencies, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	a, err := newAsker(h)
	if err != nil {
		return nil, err
	}
	defer a.close()
	for range n {
		if err := a.connect(); err != nil {
			return nil, fmt.Errorf("connecting to %s: %w", h.Address, err)
		}
	}
	end := time.Now().Add(d)
	for time.Now().Before(end) && ctx.Err() == nil {
		if err := a.turn(); err != nil {
			return nil, err
		}
	}
	slices.Sort(a.took)
	return a.took, ctx.Err()
}

// asker is an event loop over connections.
type asker struct {
	want    expected
	server  unix.SockaddrInet4
	request []byte
	epoll   int
	conns   map[int32]*asking
	events  []unix.EpollEvent
	took    Latencies
}

// asking is a connection that waits for an answer.
type asking struct {
	sent   time.Time
	answer []byte
}

func newAsker(h Head) (*asker, error) {
	server, err := sockaddr(h.Address)
	if err != nil {
		return nil, err
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an epoll instance: %w", err)
	}
	return &asker{
		want: expect(h), server: server, epoll: epoll, conns: map[int32]*asking{}, events: make([]unix.EpollEvent, 64),
		request: fmt.Appendf(nil, "HEAD %s HTTP/1.1\r\nHost: %s\r\nAccept: %s\r\n\r\n", h.Path, h.Address, content.ManifestType),
		took:    make(Latencies, 0, 1<<20),
	}, nil
}

func (a *asker) connect() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	a.conns[int32(fd)] = &asking{answer: make([]byte, 0, 4<<10)}
	if err := unix.Connect(fd, &a.server); err != nil {
		return err
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(a.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return err
	}
	return a.ask(fd)
}

func (a *asker) ask(fd int) error {
	c := a.conns[int32(fd)]
	c.answer, c.sent = c.answer[:0], time.Now()
	_, err := unix.Write(fd, a.request) // a blocking socket: all of it
	return err
}

// turn takes the answers that are there, and asks again. It returns after 100 ms where none comes.
func (a *asker) turn() error {
	n, err := unix.EpollWait(a.epoll, a.events, 100)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("waiting for answers: %w", err)
	}
	for _, event := range a.events[:max(n, 0)] {
		if err := a.take(int(event.Fd)); err != nil {
			return err
		}
	}
	return nil
}

func (a *asker) take(fd int) error {
	c := a.conns[int32(fd)]
	n, err := unix.Read(fd, c.answer[len(c.answer):cap(c.answer)])
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("the server closed a connection, or its answer has no end: %q", c.answer)
	}
	c.answer = c.answer[:len(c.answer)+n]
	whole, err := a.want.check(c.answer)
	if err != nil || !whole {
		return err
	}
	a.took = append(a.took, time.Since(c.sent))
	return a.ask(fd)
}

func (a *asker) close() {
	for fd := range a.conns {
		_ = unix.Close(int(fd)) // nothing is left to lose
	}
	_ = unix.Close(a.epoll)
}
