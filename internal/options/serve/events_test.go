package serve_test

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	path := configFile(t, "events: {sinkFile: sink, source: /clusters/prod}\n")
	writeFile(t, filepath.Join(filepath.Dir(path), "sink"), "https://user:secret@sink.example/in?key=secret\n")
	o, err := parse(t, "--config", path)
	if err != nil || o.Events.Sink.Host != "sink.example" || o.Events.Source != "/clusters/prod" {
		t.Errorf("got %+v, %v", o.Events, err)
	}
	if o, err := parse(t, "--config", configFile(t, "events: {}\n")); err != nil || o.Events.Sink != nil {
		t.Errorf("without a sink: %+v, %v", o.Events, err)
	}
	for text, want := range map[string]string{
		"events: {sink: 'ftp://u:secret@x'}":               "events.sink: not the URL of a sink: write an http:// or https:// URL",
		"events: {sink: 'http://x', sinkFile: y}":          "events.sinkFile: events.sink is set too: write one of the two",
		"events: {sinkFile: missing}":                      "events.sinkFile: open ",
		"events: {sink: 'https://x', caFile: missing}":     "events.caFile: reading the sink's certificates",
		"events: {sink: 'https://x', source: 'my larder'}": `events.source: "my larder": write a URI reference`,
	} {
		_, err := parse(t, "--config", configFile(t, text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
