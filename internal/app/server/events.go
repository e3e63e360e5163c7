package server

import (
	"cmp"
	"path/filepath"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/events"
	"github.com/larder-dev/larder/internal/imageref"
)

// waiting is the folder in the data folder in which events wait for their sink.
const waiting = "events"

// openTeller makes what tells of changes. Where its folder cannot be used, changes are counted alone: that is no reason not to serve.
func (s *Server) openTeller() error {
	o := events.Options{
		Dir: filepath.Join(s.o.Data, waiting), Source: cmp.Or(s.o.Events.Source, s.o.Source), Metrics: s.o.Changes, Log: s.o.Log.WithName("events"),
	}
	if to := s.o.Events.Sink; to != nil {
		sink, err := events.NewSink(to, s.o.Events.CAFile)
		if err != nil {
			return err
		}
		o.Sink = sink
		s.o.Log.Info("changes are told as events", "sink", sink.String(), "source", o.Source)
	}
	teller, err := events.New(o)
	if err != nil {
		s.o.Log.Error(err, "changes are not told as events")
		o.Sink = nil
		teller, err = events.New(o)
	}
	s.teller = teller
	return err
}

// Teller is what tells of changes of images, once the server is open.
func (s *Server) Teller() *events.Teller { return s.teller }

// Evicting tells that the cache is about to remove an image that no object of the API server asks for. It is owner.Options.OnEvict.
func (s *Server) Evicting(ref imageref.Reference, image cache.Image) {
	s.teller.Tell(events.Eviction(ref.String(), image.Digest, image.Size, image.ChangedAt, image.CheckedAt))
}
