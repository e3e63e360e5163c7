package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

func TestBlob_B1_OneTransferForManyReaders(t *testing.T) {
	t.Parallel()
	const readers = 500
	headers, rest := make(chan struct{}), make(chan struct{})
	r := newRig(t, newOrigin(t, content(1<<20, 1), answer{headersAt: headers, upTo: 512 << 10, restAt: rest}))
	s, c := r.server(t), client(t)

	var started, joined atomic.Int32
	var g errgroup.Group
	for range readers {
		g.Go(func() error {
			got, how, err := get(t.Context(), c, s.URL)
			if err != nil {
				return err
			}
			if how == Started {
				started.Add(1)
			} else {
				joined.Add(1)
			}
			if got != r.origin.digest {
				return errors.New("a reader got other bytes: " + got.String())
			}
			return nil
		})
	}
	<-r.origin.arrived
	close(headers)
	until(t, "every reader to read", func() bool { return value(t, r.metrics.FetchReaders) == readers })
	close(rest)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	r.wantStored(t, app)

	if requests, sent := r.origin.traffic(); requests != 1 || sent != int64(len(r.origin.blob)) {
		t.Errorf("the origin saw %d requests and sent %d bytes, want 1 and %d", requests, sent, len(r.origin.blob))
	}
	if started.Load() != 1 || started.Load()+joined.Load() != readers {
		t.Errorf("%d readers started a fetch and %d joined one", started.Load(), joined.Load())
	}
	s.Close() // waits for the handlers
	if n := value(t, r.metrics.FetchReaders); n != 0 {
		t.Errorf("%v readers are still counted", n)
	}
}

func TestBlob_B1_ReadersGetBytesAsTheyArrive(t *testing.T) {
	t.Parallel()
	const half = 512 << 10
	rest := make(chan struct{})
	r := newRig(t, newOrigin(t, content(2*half, 2), answer{upTo: half, restAt: rest}))

	first, firstDone := run(r.open(t, t.Context(), r.desc(), Range{}))
	first.await(t, half)
	late, lateDone := run(r.open(t, t.Context(), r.desc(), Range{}))
	late.await(t, half)
	close(rest)
	for _, done := range []<-chan error{firstDone, lateDone} {
		if err := ended(t, done); err != nil {
			t.Error(err)
		}
	}
	if !bytes.Equal(first.bytes(), r.origin.blob) || !bytes.Equal(late.bytes(), r.origin.blob) {
		t.Error("a reader got other bytes")
	}
}

// A single byte that arrives must reach the client without waiting for more, headers and all.
func TestBlob_B1_FirstByteIsNotBuffered(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]answer{
		"Known size":   {upTo: 1},
		"Unknown size": {upTo: 2, chunked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest := make(chan struct{})
			a.restAt = rest
			r := newRig(t, newOrigin(t, content(1<<20, 3), a))
			s := r.server(t)
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
			resp, err := client(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
				t.Error(err)
			}
			close(rest)
		})
	}
}

func TestBlob_B1_SlowReaderHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(8<<20, 4)))
	slow := r.open(t, t.Context(), r.desc(), Range{})
	near, far := net.Pipe()
	defer far.Close()
	slowDone := make(chan error, 1)
	go func() {
		defer near.Close()
		_, err := slow.WriteTo(near)
		slowDone <- err
	}()

	_, done := run(r.open(t, t.Context(), r.desc(), Range{}))
	if err := ended(t, done); err != nil {
		t.Fatal(err)
	}
	r.wantStored(t, app)

	got, err := io.ReadAll(far)
	if err != nil || !bytes.Equal(got, r.origin.blob) {
		t.Errorf("the slow reader got %d bytes, %v", len(got), err)
	}
	if err := ended(t, slowDone); err != nil {
		t.Error(err)
	}
}

// The links and the last byte of the commit are made while another repository still joins.
func TestBlob_B1_JoinerDuringCommit(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"Before the blob has moved": false, "After the blob has moved": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newOrigin(t, content(300<<10, 5)))
			committing, proceed := make(chan struct{}), make(chan struct{})
			wrapSpool(r, func(sp spool) spool {
				return &slowCommit{spool: sp, after: after, committing: committing, proceed: proceed}
			})
			_, done := run(r.open(t, t.Context(), r.desc(), Range{}))
			if err := ended(t, done); err != nil {
				t.Fatal(err)
			}
			<-committing

			other := imageref.Repository{Host: "other.example", Path: "mirror/app"}
			rd, err := r.Open(t.Context(), other, r.desc(), Range{})
			if err != nil {
				t.Fatal(err)
			}
			defer rd.Close()
			late, lateDone := run(rd)
			if err := ended(t, lateDone); err != nil || !bytes.Equal(late.bytes(), r.origin.blob) {
				t.Errorf("the joiner got %d bytes, %v", len(late.bytes()), err)
			}
			close(proceed)
			r.wantStored(t, app, other)
			if requests, _ := r.origin.traffic(); requests != 1 || rd.How != Joined {
				t.Errorf("the origin saw %d requests, and the joiner was told %v", requests, rd.How)
			}
			if diff := cmp.Diff(2, len(r.committed)); diff != "" {
				t.Errorf("OnCommit calls (-want +got):\n%s", diff)
			}
		})
	}
}

// slowCommit waits before, or after, the real commit.
type slowCommit struct {
	spool
	after      bool
	committing chan<- struct{}
	proceed    <-chan struct{}
}

func (s *slowCommit) Commit(ctx context.Context) error {
	if s.after {
		defer s.wait()
	} else {
		s.wait()
	}
	return s.spool.Commit(ctx)
}

func (s *slowCommit) wait() {
	close(s.committing)
	<-s.proceed
}

// wrapSpool puts something around each spool that the store makes.
func wrapSpool(r *rig, wrap func(spool) spool) {
	inner := r.newSpool
	r.newSpool = func(dgst digest.Digest, size int64) (spool, error) {
		sp, err := inner(dgst, size)
		if err != nil {
			return nil, err
		}
		return wrap(sp), nil
	}
}

func TestBlob_B1_StoredMeanwhileIsNotFetchedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(100<<10, 6)))
	if err := r.Fetch(t.Context(), app, r.desc(), nil); err != nil {
		t.Fatal(err)
	}
	other := imageref.Repository{Host: app.Host, Path: "team/other"}
	rd, err := r.Open(t.Context(), other, r.desc(), Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	s, done := run(rd)
	if err := ended(t, done); err != nil || !bytes.Equal(s.bytes(), r.origin.blob) {
		t.Errorf("the reader got %d bytes, %v", len(s.bytes()), err)
	}
	r.wantStored(t, app, other)
	if requests, _ := r.origin.traffic(); requests != 1 {
		t.Errorf("the origin saw %d requests, want 1", requests)
	}
}

func TestBlob_B1_TwoRepositoriesShareATransfer(t *testing.T) {
	t.Parallel()
	rest := make(chan struct{})
	r := newRig(t, newOrigin(t, content(256<<10, 7), answer{upTo: 1000, restAt: rest}))
	other := imageref.Repository{Host: "other.example", Path: "mirror/app"}
	_, done := run(r.open(t, t.Context(), r.desc(), Range{}))
	rd, err := r.Open(t.Context(), other, r.desc(), Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	close(rest)
	if err := ended(t, done); err != nil {
		t.Error(err)
	}
	r.wantStored(t, app, other)
	if requests, _ := r.origin.traffic(); requests != 1 {
		t.Errorf("the origin saw %d requests, want 1", requests)
	}
}

func TestBlob_B1_FailureBeforeHeadersReachesAllWaiters(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		want   upstream.Reason
	}{
		{http.StatusNotFound, upstream.NotFound},
		{http.StatusForbidden, upstream.Denied},
		{http.StatusTooManyRequests, upstream.RateLimited},
		{http.StatusInternalServerError, upstream.Unreachable},
	} {
		t.Run(strconv.Itoa(tc.status), func(t *testing.T) {
			t.Parallel()
			headers := make(chan struct{})
			r := newRig(t, newOrigin(t, content(1000, 8), answer{headersAt: headers, status: tc.status}, answer{}))
			var entered, waiters sync.WaitGroup
			errs := make([]error, 20)
			for i := range errs {
				entered.Add(1)
				waiters.Go(func() {
					tr, _, err := r.join(t.Context(), app, r.desc(), true)
					entered.Done()
					if err == nil {
						_, err = r.follow(t.Context(), tr, opening{repo: app, desc: r.desc()})
					}
					errs[i] = err
				})
			}
			entered.Wait()
			close(headers)
			waiters.Wait()
			for _, err := range errs {
				var up *upstream.Error
				if !errors.As(err, &up) || up.Reason != tc.want {
					t.Fatalf("a waiter got %v, want %s", err, tc.want)
				}
			}
			r.wantNothingStored(t)
			_, done := run(r.open(t, t.Context(), r.desc(), Range{}))
			if err := ended(t, done); err != nil {
				t.Errorf("the next Open after a failure: %v", err)
			}
		})
	}
}

// What one repository is refused says nothing of another that waited for the same transfer.
func TestBlob_B1_RefusalOfAnotherRepositoryIsNotShared(t *testing.T) {
	t.Parallel()
	headers := make(chan struct{})
	r := newRig(t, newOrigin(t, content(5000, 9), answer{headersAt: headers, status: http.StatusForbidden}, answer{}))
	refused := make(chan error, 1)
	go func() {
		_, err := r.Open(t.Context(), app, r.desc(), Range{})
		refused <- err
	}()
	<-r.origin.arrived
	other := imageref.Repository{Host: "other.example", Path: "mirror/app"}
	fetched := make(chan error, 1)
	go func() { fetched <- r.Fetch(t.Context(), other, r.desc(), nil) }()
	close(headers)
	if err := ended(t, refused); !errors.As(err, new(*upstream.Error)) {
		t.Errorf("the refused repository got %v", err)
	}
	if err := ended(t, fetched); err != nil {
		t.Errorf("the other repository got %v", err)
	}
	r.wantStored(t, other)
}

// handover notes what is handed to the connection.
type handover struct {
	http.ResponseWriter
	calls, files int
}

func (h *handover) ReadFrom(src io.Reader) (int64, error) {
	h.calls++
	if lr, ok := src.(*io.LimitedReader); ok {
		if _, ok := lr.R.(*os.File); ok {
			h.files++
		}
	}
	return h.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
}

func (h *handover) Flush() { _ = http.NewResponseController(h.ResponseWriter).Flush() }

// A growing file and a stored one reach the connection as an *os.File under one LimitedReader: net turns that into sendfile.
func TestBlob_B1_GrowingFilesGoOutBySendfile(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(4<<20, 10), answer{rate: 16 << 20}))
	seen := make(chan handover, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := &handover{ResponseWriter: w}
		defer func() { seen <- *h }()
		rd, err := r.Open(req.Context(), app, r.desc(), Range{})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer rd.Close()
		w.Header().Set("Content-Length", strconv.FormatInt(rd.Length, 10))
		_, _ = rd.WriteTo(h)
	}))
	defer s.Close()
	for _, name := range []string{"growing", "stored"} {
		got, _, err := get(t.Context(), client(t), s.URL)
		if err != nil || got != r.origin.digest {
			t.Fatalf("%s: got %s, %v", name, got, err)
		}
		if h := <-seen; h.calls == 0 || h.files != h.calls {
			t.Errorf("%s: %d of %d handovers were a file under one LimitedReader", name, h.files, h.calls)
		}
		r.settled(t)
	}
}

// A repository gets what comes, or came, in another name only after a confirmation of its own.
func TestBlob_B6_AnotherNameIsConfirmed(t *testing.T) {
	t.Parallel()
	other := imageref.Repository{Host: "other.example", Path: "mirror/app"}
	refusal := &upstream.Error{Reason: upstream.Denied, Host: other.Host}
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprintf("Stored meanwhile: %v", stored), func(t *testing.T) {
			t.Parallel()
			rest := make(chan struct{})
			r := newRig(t, newOrigin(t, content(1000, 13), answer{upTo: 10, restAt: rest}))
			var asked []imageref.Repository
			answers := []error{refusal, nil}
			r.confirm = func(_ context.Context, repo imageref.Repository, _ digest.Digest) error {
				asked = append(asked, repo)
				defer func() { answers = answers[1:] }()
				return answers[0]
			}
			r.open(t, t.Context(), r.desc(), Range{})
			r.open(t, t.Context(), r.desc(), Range{})
			if stored {
				close(rest)
				r.settled(t)
			}
			if _, err := r.Open(t.Context(), other, r.desc(), Range{}); !errors.Is(err, refusal) {
				t.Errorf("Open returned %v, want the refusal", err)
			}
			rd, err := r.Open(t.Context(), other, r.desc(), Range{})
			if err != nil {
				t.Fatal(err)
			}
			defer rd.Close()
			if !stored {
				close(rest)
			}
			r.wantStored(t, app, other)
			if diff := cmp.Diff([]imageref.Repository{other, other}, asked); diff != "" {
				t.Errorf("confirmations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBlob_B2_LeaderHangsUp(t *testing.T) {
	t.Parallel()
	for name, followers := range map[string]int{"Others read on": 3, "Nobody is left": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest := make(chan struct{})
			r := newRig(t, newOrigin(t, content(1<<20, 11), answer{upTo: 100 << 10, restAt: rest}))
			ctx, hangUp := context.WithCancel(t.Context())
			leader := r.open(t, ctx, r.desc(), Range{})
			s, leaderDone := run(leader)
			s.await(t, 50<<10)
			var others []<-chan error
			for range followers {
				_, done := run(r.open(t, t.Context(), r.desc(), Range{}))
				others = append(others, done)
			}
			hangUp()
			if err := ended(t, leaderDone); !errors.Is(err, context.Canceled) {
				t.Errorf("the leader's reader returned %v", err)
			}
			if err := leader.Close(); err != nil {
				t.Error(err)
			}
			close(rest)
			for _, done := range others {
				if err := ended(t, done); err != nil {
					t.Error(err)
				}
			}
			r.wantStored(t, app)
			if requests, _ := r.origin.traffic(); requests != 1 {
				t.Errorf("the origin saw %d requests, want 1", requests)
			}
		})
	}
}

func TestBlob_B2_WaiterLeavesAlone(t *testing.T) {
	t.Parallel()
	headers := make(chan struct{})
	r := newRig(t, newOrigin(t, content(1000, 12), answer{headersAt: headers}))
	ctx, giveUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := r.Open(ctx, app, r.desc(), Range{})
		gone <- err
	}()
	<-r.origin.arrived
	giveUp()
	if err := ended(t, gone); !errors.Is(err, context.Canceled) {
		t.Errorf("Open returned %v, want context.Canceled", err)
	}
	if !r.fetches() {
		t.Error("the fetch ended with the caller")
	}
	close(headers)
	r.wantStored(t, app)
}
