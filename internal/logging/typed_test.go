package logging_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/logging"
)

var requestFields = []slog.Attr{
	slog.String("method", "HEAD"),
	slog.String("repository", "docker.io/library/nginx"),
	slog.String("path", "/\x00\"\n<\u2028\xff"),
	slog.Int("status", 200),
	slog.Int64("bytes", 1<<40),
	slog.Duration("duration", 1500*time.Microsecond),
	slog.Bool("aborted", true),
	slog.Any("error", errors.New("broken")),
}

func TestTyped_WritesTheLineThatLogrWrites(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // the times are the same
				var out bytes.Buffer
				log, err := logging.New("info", format, &out)
				if err != nil {
					t.Fatal(err)
				}
				log = log.WithName("access").WithValues("process", "serve")
				var boxed []any
				for _, f := range requestFields {
					boxed = append(boxed, f.Key, f.Value.Any())
				}
				log.Info("request", boxed...)
				want := out.String()
				out.Reset()
				logging.NewTyped(log).Info("request", requestFields)
				if diff := cmp.Diff(want, out.String()); diff != "" {
					t.Errorf("logr's line (-), typed (+):\n%s", diff)
				}
			})
		})
	}
}

func TestTyped_KeepsTheLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := logging.New("warn", "json", &out)
	if err != nil {
		t.Fatal(err)
	}
	typed := logging.NewTyped(log)
	typed.Info("request", requestFields)
	if typed.Enabled() || out.Len() > 0 {
		t.Errorf("enabled %t, logged %q", typed.Enabled(), out.String())
	}
}

func TestTyped_OfAnyLogger(t *testing.T) {
	t.Parallel()
	var got string
	typed := logging.NewTyped(funcr.New(func(_, args string) { got = args }, funcr.Options{}))
	typed.Info("request", requestFields[3:6])
	if want := `"level"=0 "msg"="request" "status"=200 "bytes"=1099511627776 "duration"="1.5ms"`; got != want || !typed.Enabled() {
		t.Errorf("logged %s, want %s", got, want)
	}
}

func BenchmarkTyped(b *testing.B) {
	for _, format := range []string{"text", "json"} {
		b.Run(format, func(b *testing.B) {
			log, err := logging.New("info", format, io.Discard)
			if err != nil {
				b.Fatal(err)
			}
			typed := logging.NewTyped(log.WithName("access"))
			b.ReportAllocs()
			for b.Loop() {
				typed.Info("request", requestFields[:7])
			}
		})
	}
}
