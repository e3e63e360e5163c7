package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/logging"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNew_Levels(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]string{
		"debug": "detail,line,fault",
		"info":  "line,fault",
		"warn":  "fault",
		"error": "fault",
	} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log, err := logging.New(level, "json", &out)
			if err != nil {
				t.Fatal(err)
			}
			log.V(1).Info("detail")
			log.Info("line")
			log.Error(errors.New("broken"), "fault")
			if got := messages(t, &out); got != want {
				t.Errorf("logged %s, want %s", got, want)
			}
			if got, want := log.Enabled(), strings.Contains(want, "line"); got != want {
				t.Errorf("Enabled() = %t, want %t", got, want)
			}
		})
	}
}

func messages(t *testing.T, out *bytes.Buffer) string {
	t.Helper()
	var all []string
	for decoder := json.NewDecoder(out); decoder.More(); {
		var line struct{ Msg string }
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line.Msg)
	}
	return strings.Join(all, ",")
}

func TestNew_TextHasTimesOfOneWidth(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := logging.New("info", "text", &out)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("line")
	when, _, _ := strings.Cut(out.String(), "\t")
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)$`).MatchString(when) {
		t.Errorf("the time is %q, want RFC 3339 with milliseconds", when)
	}
}

func TestNew_JSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := logging.New("info", "json", &out)
	if err != nil {
		t.Fatal(err)
	}
	log.WithName("cache").Error(errors.New("broken"), "fetching", "repository", "docker.io/library/nginx", "duration", 1500*time.Millisecond)
	var line struct {
		Level, Logger, Error, Repository, Duration string
		TS                                         time.Time
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%s: %v", out.Bytes(), err)
	}
	if line.Level != "error" || line.Logger != "cache" || line.Error != "broken" || line.Repository != "docker.io/library/nginx" ||
		line.Duration != "1.5s" || line.TS.IsZero() {
		t.Errorf("logged %s", out.Bytes())
	}
}

func TestNew_Text(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := logging.New("info", "text", &out)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("listening", "address", "127.0.0.1:7439")
	line := out.String()
	for _, part := range []string{"info\t", "\tlistening\t", `{"address": "127.0.0.1:7439"}`} {
		if !strings.Contains(line, part) {
			t.Errorf("%q lacks %q", line, part)
		}
	}
	if strings.Count(line, "\n") != 1 || strings.HasPrefix(line, "{") {
		t.Errorf("%q is not one line of text", line)
	}
}

func TestNew_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ level, format, want string }{
		"An unknown level":  {"verbose", "json", `log level "verbose": must be debug, info, warn or error`},
		"An empty level":    {"", "json", `log level "": must be debug, info, warn or error`},
		"An unknown format": {"info", "xml", `log format "xml": must be text or json`},
		"An empty format":   {"info", "", `log format "": must be text or json`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := logging.New(test.level, test.format, &bytes.Buffer{}); err == nil || err.Error() != test.want {
				t.Errorf("New() = %v, want %s", err, test.want)
			}
		})
	}
}
