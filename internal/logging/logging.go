// Package logging makes the process's logger. It is the only place that knows zap; everything else logs through logr.
package logging

import (
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New returns a logger that writes lines of the format ("text" or "json") from the level ("debug", "info", "warn" or "error") on
// to w; lines are written whole, one at a time. logr has no warnings: at "warn" only errors are left.
func New(level, format string, w io.Writer) (logr.Logger, error) {
	from, err := parseLevel(level)
	if err != nil {
		return logr.Logger{}, err
	}
	encoder, err := newEncoder(format)
	if err != nil {
		return logr.Logger{}, err
	}
	out := zapcore.Lock(zapcore.AddSync(w))
	return zapr.NewLogger(zap.New(zapcore.NewCore(encoder, out, from), zap.ErrorOutput(out))), nil
}

func parseLevel(level string) (zapcore.Level, error) {
	switch level {
	case "debug":
		return zapcore.DebugLevel, nil
	case "info":
		return zapcore.InfoLevel, nil
	case "warn":
		return zapcore.WarnLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	}
	return 0, fmt.Errorf("log level %q: must be debug, info, warn or error", level)
}

func newEncoder(format string) (zapcore.Encoder, error) {
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.EncodeDuration = zapcore.StringDurationEncoder
	switch format {
	case "text":
		return newTextEncoder(config), nil
	case "json":
		return zapcore.NewJSONEncoder(config), nil
	}
	return nil, fmt.Errorf("log format %q: must be text or json", format)
}
