package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/upstream"
)

func TestBlob_B3_BrokenTransfersAreResumed(t *testing.T) {
	t.Parallel()
	const size, at = 600 << 10, 200 << 10
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
		{"After silence", []answer{{upTo: at, stall: true}, {}}, false, 100 * time.Millisecond, []string{"", from}},
		{"After silence while skipping", []answer{{upTo: at}, {ignoreRange: true, upTo: at / 2, stall: true}, {}}, false,
			100 * time.Millisecond, []string{"", from, from}},
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

// A client that stops reading is not the origin's silence.
func TestBlob_P3_SlowClientIsNotAnIdleOrigin(t *testing.T) {
	t.Parallel()
	r := newRig(t, newOrigin(t, content(4<<20, 24)))
	r.idle = 500 * time.Millisecond
	r.newSpool = noSpool
	rd := r.open(t, t.Context(), r.desc(), Range{})
	s := &pausingSink{sink: newSink(), pause: 2 * r.idle}
	if _, err := rd.WriteTo(s); err != nil || !bytes.Equal(s.bytes(), r.origin.blob) {
		t.Errorf("the reader got %d bytes, %v", len(s.bytes()), err)
	}
	if requests, _ := r.origin.traffic(); requests != 1 {
		t.Errorf("the origin saw %d requests, want 1", requests)
	}
}

// pausingSink takes its time over its first bytes.
type pausingSink struct {
	*sink
	pause time.Duration
}

func (s *pausingSink) Write(p []byte) (int, error) {
	if s.pause > 0 {
		<-time.After(s.pause)
		s.pause = 0
	}
	return s.sink.Write(p)
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
