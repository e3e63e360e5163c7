package fetch

import (
	"bytes"
	"errors"
	"testing"

	"github.com/larder-dev/larder/internal/upstream"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// wrong returns b with its last byte changed.
func wrong(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

func TestBlob_B4_WrongBytesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	blob := content(300<<10, 30)
	longer := append(bytes.Clone(blob), 'x')
	for _, tc := range []struct {
		name    string
		answer  answer
		unsized bool
	}{
		{"Wrong bytes", answer{body: wrong(blob)}, false},
		{"Wrong bytes of unknown length", answer{body: wrong(blob), chunked: true}, true},
		{"Wrong bytes whose length only the descriptor tells", answer{body: wrong(blob), chunked: true}, false},
		{"One byte too many", answer{body: longer, chunked: true}, false},
		{"One byte too few", answer{body: blob[:len(blob)-1], chunked: true}, false},
		{"Too few of unknown length", answer{body: blob[:1000], chunked: true}, true},
		{"None of unknown length", answer{body: []byte{}, chunked: true}, true},
	} {
		for _, stored := range []bool{true, false} {
			name := tc.name
			if !stored {
				name += ", streamed through"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, newOrigin(t, blob, tc.answer))
				if !stored {
					r.newSpool = noSpool
				}
				desc := r.desc()
				if tc.unsized {
					desc = r.unsized()
				}
				s := newSink()
				rd, err := r.Open(t.Context(), app, desc, Range{})
				if err == nil { // else the transfer was over before the reader could join it
					defer rd.Close()
					_, err = rd.WriteTo(s)
				}
				var up *upstream.Error
				if !errors.As(err, &up) || up.Reason != upstream.Invalid {
					t.Errorf("the reader returned %v, want %s", err, upstream.Invalid)
				}
				held := len(blob) - 1 // the final byte of what the descriptor says, or else of what comes
				if tc.unsized {
					held = max(len(tc.answer.body)-1, 0)
				}
				if len(s.bytes()) > held {
					t.Errorf("the reader got %d bytes, want at most %d", len(s.bytes()), held)
				}
				r.wantNothingStored(t)
				if n := value(t, r.metrics.DigestMismatches.WithLabelValues(app.Host)); n != 1 {
					t.Errorf("%v mismatches were counted, want 1", n)
				}
			})
		}
	}
}

func TestBlob_B4_WrongLengthIsAnErrorAtOpen(t *testing.T) {
	t.Parallel()
	blob := content(1000, 31)
	for name, body := range map[string][]byte{"Longer": append(bytes.Clone(blob), 'x'), "Shorter": blob[:999]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newOrigin(t, blob, answer{body: body}))
			_, err := r.Open(t.Context(), app, r.desc(), Range{})
			var up *upstream.Error
			if !errors.As(err, &up) || up.Reason != upstream.Invalid {
				t.Errorf("Open returned %v, want %s", err, upstream.Invalid)
			}
			r.wantNothingStored(t)
			if n := value(t, r.metrics.DigestMismatches.WithLabelValues(app.Host)); n != 1 {
				t.Errorf("%v mismatches were counted, want 1", n)
			}
		})
	}
}

// A manifest with a wrong size must not end the transfer that others read, nor read from it.
func TestBlob_B4_JoinerThatExpectsAnotherSize(t *testing.T) {
	t.Parallel()
	rest := make(chan struct{})
	r := newRig(t, newOrigin(t, content(1000, 32), answer{upTo: 10, restAt: rest}))
	_, done := run(r.open(t, t.Context(), r.desc(), Range{}))
	desc := r.desc()
	desc.Size++
	if _, err := r.Open(t.Context(), app, desc, Range{}); !errors.As(err, new(*upstream.Error)) {
		t.Errorf("Open returned %v, want an upstream.Error", err)
	}
	close(rest)
	if err := ended(t, done); err != nil {
		t.Error(err)
	}
	r.wantStored(t, app)
}

func TestBlob_B4_FinalByteWaitsForVerification(t *testing.T) {
	t.Parallel()
	const size = 64 << 10
	for name, a := range map[string]answer{"Known size": {}, "Unknown size": {chunked: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest := make(chan struct{})
			a.upTo, a.restAt = size-1, rest
			r := newRig(t, newOrigin(t, content(size, 33), a))
			desc := r.desc()
			held := size - 1
			if a.chunked {
				desc, held = r.unsized(), size-2
			}
			rd := r.open(t, t.Context(), desc, Range{})
			if a.chunked != (rd.Length < 0) {
				t.Errorf("Length is %d", rd.Length)
			}
			s, done := run(rd)
			s.await(t, held)
			if n := len(s.bytes()); n != held {
				t.Errorf("the reader got %d bytes before verification, want %d", n, held)
			}
			close(rest)
			if err := ended(t, done); err != nil || !bytes.Equal(s.bytes(), r.origin.blob) {
				t.Errorf("the reader got %d bytes, %v", len(s.bytes()), err)
			}
			r.wantStored(t, app)
		})
	}
}

func TestBlob_B4_EmptyBlob(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		digest  digest.Digest
		unsized bool
		chunked bool
		unroomy bool
		fails   bool
	}{
		{name: "Right", digest: digest.FromBytes(nil)},
		{name: "Right, size not known", digest: digest.FromBytes(nil), unsized: true},
		{name: "Right, no length", digest: digest.FromBytes(nil), unsized: true, chunked: true},
		{name: "Right, streamed through", digest: digest.FromBytes(nil), unroomy: true},
		{name: "Wrong", digest: digest.FromString("other"), fails: true},
		{name: "Wrong, no length", digest: digest.FromString("other"), unsized: true, chunked: true, fails: true},
		{name: "Wrong, streamed through", digest: digest.FromString("other"), unroomy: true, fails: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t, []byte{}, answer{chunked: tc.chunked})
			o.digest = tc.digest
			r := newRig(t, o)
			if tc.unroomy {
				r.newSpool = noSpool
			}
			desc := ocispec.Descriptor{Digest: tc.digest}
			if tc.unsized {
				desc.Size = -1
			}
			rd, err := r.Open(t.Context(), app, desc, Range{})
			if err == nil {
				defer rd.Close()
				_, err = rd.WriteTo(newSink())
			}
			if (err != nil) != tc.fails {
				t.Errorf("reading the blob returned %v", err)
			}
			switch {
			case tc.fails:
				r.wantNothingStored(t)
			case !tc.unroomy:
				r.wantStored(t, app)
			}
		})
	}
}

func TestBlob_B4_AnyDigestAlgorithm(t *testing.T) {
	t.Parallel()
	o := newOrigin(t, content(100<<10, 34))
	o.digest = digest.SHA512.FromBytes(o.blob)
	r := newRig(t, o)
	if err := r.Fetch(t.Context(), app, r.desc(), nil); err != nil {
		t.Fatal(err)
	}
	if size, err := r.store.StatBlob(t.Context(), o.digest); err != nil || size != int64(len(o.blob)) {
		t.Errorf("StatBlob returned %d, %v", size, err)
	}
	if err := r.Fetch(t.Context(), app, ocispec.Descriptor{Digest: "sha256:short", Size: 1}, nil); err == nil {
		t.Error("a digest that cannot be verified was accepted")
	}
}
