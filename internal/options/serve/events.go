package serve

import (
	"net/url"
	"os"
	"strings"

	"github.com/larder-dev/larder/internal/events"
)

// Events says where changes of images are told as CloudEvents. The zero value is nowhere.
type Events struct {
	Sink   *url.URL // nil: nowhere. It may hold a credential
	CAFile string   // certificates that are trusted besides the system's; empty: none
	Source string   // of the events; empty: what the process calls itself
}

// eventsKey is the key events of the configuration file.
type eventsKey struct {
	Sink     string `json:"sink"`
	SinkFile string `json:"sinkFile"`
	CAFile   string `json:"caFile"`
	Source   string `json:"source"`
}

func (r *reader) events(c eventsKey) Events {
	e := Events{Sink: r.sink(c), CAFile: r.Relative(c.CAFile), Source: c.Source}
	if _, err := url.Parse(c.Source); err != nil || strings.ContainsAny(c.Source, " \t\n") {
		r.Report("events.source", "%q: write a URI reference that says which Larder tells, such as /clusters/prod/larder", c.Source)
	}
	if e.Sink == nil {
		return e
	}
	if _, err := events.NewSink(e.Sink, e.CAFile); err != nil {
		r.Report("events.caFile", "%v", err)
	}
	return e
}

// sink returns the sink's URL, which is not shown: it may hold a credential.
func (r *reader) sink(c eventsKey) *url.URL {
	field, text := "events.sink", c.Sink
	switch {
	case c.Sink != "" && c.SinkFile != "":
		r.Report("events.sinkFile", "events.sink is set too: write one of the two")
		return nil
	case c.SinkFile != "":
		field = "events.sinkFile"
		content, err := os.ReadFile(r.Relative(c.SinkFile))
		if err != nil {
			r.Report(field, "%v", err)
			return nil
		}
		text = strings.TrimSpace(string(content))
	case c.Sink == "":
		return nil
	}
	u, err := events.ParseSink(text)
	if err != nil {
		r.Report(field, "%v", err)
	}
	return u
}
