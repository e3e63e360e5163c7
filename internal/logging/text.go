package logging

import (
	"time"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

var textBuffers = buffer.NewPool()

// textEncoder writes what zap's console encoder writes: time, level, name and message between tabs, then the fields. It appends
// the first four itself, since zap would box and format each of them.
type textEncoder struct {
	zapcore.Encoder // of the fields alone
}

func newTextEncoder(config zapcore.EncoderConfig) zapcore.Encoder {
	config.TimeKey, config.LevelKey, config.NameKey, config.MessageKey = "", "", "", ""
	return textEncoder{zapcore.NewConsoleEncoder(config)}
}

func (e textEncoder) Clone() zapcore.Encoder { return textEncoder{e.Encoder.Clone()} }

func (e textEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	line := textBuffers.Get()
	appendTime(line, entry.Time)
	line.AppendByte('\t')
	line.AppendString(entry.Level.String())
	line.AppendByte('\t')
	if entry.LoggerName != "" {
		line.AppendString(entry.LoggerName)
		line.AppendByte('\t')
	}
	line.AppendString(entry.Message)
	context, err := e.Encoder.EncodeEntry(entry, fields)
	if err != nil {
		line.Free()
		return nil, err
	}
	defer context.Free()
	if context.Len() > len(zapcore.DefaultLineEnding) {
		line.AppendByte('\t')
	}
	_, _ = line.Write(context.Bytes()) // into memory
	return line, nil
}

// appendTime appends RFC 3339 with milliseconds: in one width, for eyes. Package time is twice as fast with a layout that is its own.
func appendTime(line *buffer.Buffer, t time.Time) {
	var stack [len(time.RFC3339Nano)]byte
	stamp := t.AppendFormat(stack[:0], time.RFC3339)
	seconds := len("2006-01-02T15:04:05")
	milliseconds := t.Nanosecond() / int(time.Millisecond)
	line.AppendBytes(stamp[:seconds])
	line.AppendByte('.')
	line.AppendByte(byte('0' + milliseconds/100))
	line.AppendByte(byte('0' + milliseconds/10%10))
	line.AppendByte(byte('0' + milliseconds%10))
	line.AppendBytes(stamp[seconds:])
}
