package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"time"
	"unsafe"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // OnDisk
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"   // the default
	"github.com/docker/go-events"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/sirupsen/logrus"
)

// silence is for distribution, which logs every request to logrus' standard logger and offers no other way.
var silence = sync.OnceFunc(func() {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
})

// newRegistry returns the registry proper, and what ends it.
func newRegistry(c *config) (http.Handler, func() error, error) {
	if c.referrers {
		r := registry.New(registry.WithReferrersSupport(true), registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)))
		return r, func() error { return nil }, nil
	}
	return newDistribution(c)
}

func newDistribution(c *config) (_ http.Handler, _ func() error, err error) {
	silence()
	defer func() {
		// NewApp panics where others return an error.
		if p := recover(); p != nil {
			err = fmt.Errorf("starting distribution's registry: %v", p)
		}
	}()
	storage := configuration.Storage{
		"delete":      {"enabled": true},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}
	if c.onDisk {
		storage["filesystem"] = configuration.Parameters{"rootdirectory": c.dir}
	} else {
		storage["inmemory"] = configuration.Parameters{}
	}
	settings := &configuration.Configuration{Version: configuration.CurrentVersion, Storage: storage}
	settings.HTTP.RelativeURLs = true
	// An index may name platforms that were never pushed, as many real ones do.
	settings.Validation.Disabled = true
	if c.notified != "" {
		settings.Notifications.Endpoints = []configuration.Endpoint{{
			Name: "hook", URL: c.notified, Headers: http.Header{"Authorization": {c.proof}},
			Timeout: 10 * time.Second, Threshold: 3, Backoff: 100 * time.Millisecond,
		}}
	}
	app := handlers.NewApp(context.Background(), settings)
	return app, func() error { return shutDown(app) }, nil
}

// shutDown also ends the goroutine of the app's event broadcaster, which App.Shutdown leaves running and no method reaches.
func shutDown(app *handlers.App) error {
	err := app.Shutdown()
	sink := reflect.ValueOf(app).Elem().FieldByName("events").FieldByName("sink")
	if s, ok := reflect.TypeAssert[events.Sink](reflect.NewAt(sink.Type(), unsafe.Pointer(sink.UnsafeAddr())).Elem()); ok {
		err = errors.Join(err, s.Close())
	}
	return err
}
