package logging

import (
	"io"
	"time"

	"go.uber.org/zap/zapcore"
)

const (
	bufferSize = 64 << 10
	// bufferTime is how late a line may be: too short for a person to notice.
	bufferTime = 100 * time.Millisecond
)

// Buffered returns a writer that passes lines on to w within 100 ms, many at once: under load, a write for each request would cost as
// much as all else that a cached answer takes. Lines that w refuses are lost, later ones are not. stop passes on what is left, and ends
// the buffering; nothing may be written after it. What kills the process takes the lines of the last 100 ms with it.
func Buffered(w io.Writer) (buffered io.Writer, stop func()) {
	b := &zapcore.BufferedWriteSyncer{WS: forgetful{w}, Size: bufferSize, FlushInterval: bufferTime}
	return b, func() { _ = b.Stop() } // a forgetful writer has no errors
}

// forgetful never fails, since a buffer would remain silent after the first error: a disk that is full today has room tomorrow. It
// is never synced either, which on a file would be done ten times a second.
type forgetful struct{ io.Writer }

func (f forgetful) Write(p []byte) (int, error) {
	_, _ = f.Writer.Write(p)
	return len(p), nil
}

func (forgetful) Sync() error { return nil }
