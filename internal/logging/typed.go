package logging

import (
	"log/slog"
	"sync"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Typed writes lines whose fields have types, at info level: the same lines that logr writes, for a fifth of the cost, since nothing is
// boxed. It is for lines that come with every request; everything else goes through logr.
type Typed struct {
	log logr.Logger
	zap *zap.Logger // nil where log is not one of New's
}

// NewTyped returns a Typed that writes what log would, under the same name. A logger that New did not make works too, at logr's cost.
func NewTyped(log logr.Logger) *Typed {
	t := &Typed{log: log}
	if sink, ok := log.GetSink().(zapr.Underlier); ok {
		t.zap = sink.GetUnderlying()
	}
	return t
}

// Enabled says whether Info writes anything.
func (t *Typed) Enabled() bool { return t.log.Enabled() }

// Info writes one line. The fields are the caller's again when it returns.
func (t *Typed) Info(message string, fields []slog.Attr) {
	if t.zap == nil {
		t.log.Info(message, boxed(fields)...)
		return
	}
	entry := t.zap.Check(zapcore.InfoLevel, message)
	if entry == nil {
		return
	}
	l := lines.Get().(*line)
	l.attrs = fields
	entry.Write(l.field[:]...)
	l.attrs = nil
	lines.Put(l)
}

func boxed(fields []slog.Attr) []any {
	keysAndValues := make([]any, 0, 2*len(fields))
	for _, f := range fields {
		keysAndValues = append(keysAndValues, f.Key, f.Value.Any())
	}
	return keysAndValues
}

// line is the fields of one line as zap takes them: one field of its own that stands for all. Lines are pooled since zap's interfaces
// let both escape.
type line struct {
	attrs []slog.Attr
	field [1]zapcore.Field
}

var lines = sync.Pool{New: func() any {
	l := new(line)
	l.field[0] = zap.Inline(l)
	return l
}}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l *line) MarshalLogObject(to zapcore.ObjectEncoder) error {
	for i := range l.attrs {
		key, value := l.attrs[i].Key, l.attrs[i].Value
		switch value.Kind() {
		case slog.KindString:
			to.AddString(key, value.String())
		case slog.KindInt64:
			to.AddInt64(key, value.Int64())
		case slog.KindBool:
			to.AddBool(key, value.Bool())
		case slog.KindDuration:
			to.AddDuration(key, value.Duration())
		default:
			zap.Any(key, value.Any()).AddTo(to)
		}
	}
	return nil
}
