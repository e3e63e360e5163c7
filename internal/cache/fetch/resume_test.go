package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/upstream"
)

func TestBlob_B3_BrokenTransfersAreResumed(t *testing.T) {
	t.Parallel()
	const size, at = 600 << 10, 200 << 10
	const silence = 3 * time.Second // longer than a busy machine keeps an origin that sends
	from := fmt.Sprintf("bytes=%d-", at)
	for _, tc := range []struct {
		name    string
		script  []answer
		unsized bool
		idle    time.Duration
		ranges  []string
	}{
		{"By a range", []answer{{upTo: at}, {}}, false, 0, []string{"", from}},
		{"By skipping an answer from the start", []answer{{upTo: at}, {ignoreRange: true}}, false, 0, []string{"", from}},
		{"After a break while skipping", []answer{{upTo: at}, {ignoreRange: true, upTo: at / 2}, {}}, false, 0, []string{"", from, from}},
		{"After silence", []answer{{upTo: at, stall: true}, {}}, false, silence, []string{"", from}},
		{"After silence while skipping", []answer{{upTo: at}, {ignoreRange: true, upTo: at / 2, stall: true}, {}}, false,
			silence, []string{"", from, from}},
		{"Several times", []answer{{upTo: at}, {upTo: at}, {}}, false, 0, []string{"", from, fmt.Sprintf("bytes=%d-", 2*at)}},
		{"After refusals that pass", []answer{{upTo: at}, {status: 500}, {status: 429}, {status: 403}, {empty: true}, {}}, false, 0,
			[]string{"", from, from, from, from, from}},
		{"Where the size is not known", []answer{{upTo: at, chunked: true}, {chunked: true}}, true, 0, []string{"", from}},
		{"Where the size becomes known", []answer{{upTo: at, chunked: true}, {}}, true, 0, []string{"", from}},
		{"Before the first byte", []answer{{empty: true}, {}}, false, 0, []string{"", ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newOrigin(t, content(size, 20), tc.script...))
			if tc.idle > 0 {
				r.idle = tc.idle
			}
			desc := r.desc()
			if tc.unsized {
				desc = r.unsized()
			}
			s, done := run(r.open(t, t.Context(), desc, Range{}))
			if err := ended(t, done); err != nil || !bytes.Equal(s.bytes(), r.origin.blob) {
				t.Errorf("the reader got %d bytes, %v", len(s.bytes()), err)
			}
			r.wantStored(t, app)
			if diff := cmp.Diff(tc.ranges, r.origin.ranges()); diff != "" {
				t.Errorf("ranges asked for (-want +got):\n%s", diff)
			}
			if n := value(t, r.metrics.FetchResumes); n < 1 {
				t.Errorf("%v resumes were counted", n)
			}
			if last := r.outcomes[len(r.outcomes)-1]; last != nil || len(r.outcomes) != len(tc.ranges) {
				t.Errorf("outcomes are %v, want one for each request, the last one nil", r.outcomes)
			}
		})
	}
}

func TestBlob_B3_TransfersEnd(t *testing.T) {
	t.Parallel()
	const at = 100 << 10
	for _, tc := range []struct {
		name     string
		script   []answer
		requests int
		want     upstream.Reason
	}{
		{"After five attempts without a byte", []answer{{upTo: at}, {empty: true}}, 6, upstream.Unreachable},
		{"After five refused attempts", []answer{{upTo: at}, {status: 403}}, 6, upstream.Denied},
		{"After five attempts that only repeat bytes", []answer{{upTo: at}, {ignoreRange: true, upTo: at}}, 6, upstream.Unreachable},
		{"At once where the blob is gone", []answer{{upTo: at}, {status: 404}}, 2, upstream.NotFound},
		{"At once where the size has changed", []answer{{upTo: at}, {size: 999 << 10}}, 2, upstream.Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newOrigin(t, content(300<<10, 21), tc.script...))
			_, done := run(r.open(t, t.Context(), r.desc(), Range{}))
			var up *upstream.Error
			if err := ended(t, done); !errors.As(err, &up) || up.Reason != tc.want {
				t.Errorf("the reader returned %v, want %s", err, tc.want)
			}
			r.wantNothingStored(t)
			if requests, _ := r.origin.traffic(); requests != tc.requests {
				t.Errorf("the origin saw %d requests, want %d", requests, tc.requests)
			}
			if n := value(t, r.metrics.FetchFailures.WithLabelValues(string(tc.want))); n != 1 {
				t.Errorf("%v failures by %s were counted, want 1", n, tc.want)
			}
		})
	}
}

func TestBlob_B3_BytesResetTheCount(t *testing.T) {
	t.Parallel()
	script := []answer{{upTo: 10 << 10}}
	for range 4 {
		script = append(script, answer{empty: true}, answer{status: http.StatusBadGateway}, answer{upTo: 10 << 10})
	}
	r := newRig(t, newOrigin(t, content(100<<10, 22), append(script, answer{})...))
	if err := r.Fetch(t.Context(), app, r.desc(), nil); err != nil {
		t.Fatal(err)
	}
	r.wantStored(t, app)
}

func TestBlob_P3_SilentOriginEndsTheWaitForHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(1000, 23), answer{headersAt: make(chan struct{})}))
	r.idle = 50 * time.Millisecond
	_, err := r.Open(t.Context(), app, r.desc(), Range{})
	var up *upstream.Error
	if !errors.As(err, &up) || !up.Timeout {
		t.Errorf("Open returned %v, want a timeout", err)
	}
}

// The watchdog runs while we wait for the origin, not while a client of ours takes its time.
func TestBlob_P3_SlowClientIsNotAnIdleOrigin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		body, origin := io.Pipe()
		defer origin.Close()
		context.AfterFunc(ctx, func() { _ = body.CloseWithError(ctx.Err()) })
		c := newConnection(idleTimeout, cancel, func() bool { return errors.Is(context.Cause(ctx), errIdle) })
		c.watchdog.Stop()
		c.blob = &upstream.Blob{Body: body}
		defer c.close()

		p := make([]byte, 1)
		for range 3 {
			go func() { _, _ = origin.Write(p) }()
			time.Sleep(10 * idleTimeout)
			if _, err := c.read(p); err != nil {
				t.Fatalf("reading after a slow client: %v", err)
			}
		}
		began := time.Now()
		if _, err := c.read(p); err == nil || !c.isIdle() || time.Since(began) != idleTimeout {
			t.Errorf("reading from a silent origin returned %v after %v", err, time.Since(began))
		}
	})
}

func TestResume_PauseHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		broken error
		barren int
		want   time.Duration
	}{
		"First attempt":          {nil, 0, 0},
		"Later attempt":          {&upstream.Error{Reason: upstream.Unreachable}, 3, time.Second},
		"The origin's wish":      {&upstream.Error{Reason: upstream.RateLimited, RetryAfter: 3 * time.Second}, 1, 3 * time.Second},
		"Too long a wish":        {&upstream.Error{Reason: upstream.RateLimited, RetryAfter: time.Hour}, 1, maxRetryAfter},
		"Shorter than our own":   {&upstream.Error{Reason: upstream.RateLimited, RetryAfter: time.Millisecond}, 4, 2 * time.Second},
		"A failure of no origin": {context.Canceled, 2, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &source{m: &Manager{pauses: resumePauses}, broken: tc.broken, barren: tc.barren}
			if got := s.pause(); got != tc.want {
				t.Errorf("pause is %v, want %v", got, tc.want)
			}
		})
	}
}
