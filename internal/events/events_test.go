package events

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-dev/larder/tests/port"
)

const image = "docker.io/library/postgres:15"

func tellAll(teller *Teller, ids ...string) {
	for _, id := range ids {
		teller.Tell(Change{Kind: Moved, ID: id, Image: image})
	}
}

func TestTeller_ASinkGetsAWholeCloudEvent(t *testing.T) {
	t.Parallel()
	sink := newReceiver(t, httptest.NewServer)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	teller := newTeller(t, Options{Sink: sinkOf(t, sink.server.URL, ""), Now: func() time.Time { return at }})
	run(t, teller)
	teller.Tell(Change{
		Kind: Moved, ID: ID("a", "b"), Image: image, Digest: "sha256:b", Previous: "sha256:a", Reason: "Moved", Since: at.Add(-time.Hour), Bytes: 7,
	})
	sink.ids(t, 1)
	e := sink.all()[0]
	var got map[string]any
	if err := json.Unmarshal(e.Data(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"image": image, "digest": "sha256:b", "previousDigest": "sha256:a", "reason": "Moved", "since": "2026-01-02T02:04:05Z", "bytes": 7.,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("its data (-want +got):\n%s", diff)
	}
	attributes := []string{e.SpecVersion(), e.Type(), e.Source(), e.Subject(), e.ID(), e.DataContentType(), e.Time().String()}
	wanted := []string{"1.0", "dev.larder.image.moved.v1", "/larder/test", image, ID("a", "b"), "application/json", at.String()}
	if diff := cmp.Diff(wanted, attributes); diff != "" {
		t.Errorf("its attributes (-want +got):\n%s", diff)
	}
}

func TestTeller_ASinkThatFailsGetsEachEventInOrder(t *testing.T) {
	t.Parallel()
	sink := newReceiver(t, httptest.NewServer)
	statuses := []int{503, 500, 404, 401, 429, 302, 0, 0, 502, 408}
	fail := func(n int) int {
		if n <= len(statuses) {
			return statuses[n-1]
		}
		return 0
	}
	sink.fail.Store(&fail)
	teller := newTeller(t, Options{Sink: sinkOf(t, sink.server.URL, "")})
	run(t, teller)
	want := []string{"1", "2", "3", "4"}
	tellAll(teller, want...)
	if diff := cmp.Diff(want, sink.ids(t, 4)); diff != "" {
		t.Errorf("the events (-want +got):\n%s", diff)
	}
	var sequence []string
	for _, e := range sink.all() {
		sequence = append(sequence, e.Extensions()["sequence"].(string))
	}
	if !slices.IsSorted(sequence) {
		t.Errorf("the sequences do not rise: %v", sequence)
	}
	if got := testutil.ToFloat64(teller.o.Metrics.Failures); got != 8 {
		t.Errorf("%v failures are counted, want 8", got)
	}
}

func TestTeller_AnEventThatTheSinkRefusesDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	sink := newReceiver(t, httptest.NewServer)
	fail := func(n int) int { return map[int]int{1: 400, 3: 413}[n] }
	sink.fail.Store(&fail)
	teller := newTeller(t, Options{Sink: sinkOf(t, sink.server.URL, "")})
	run(t, teller)
	tellAll(teller, "1", "2", "3", "4")
	if diff := cmp.Diff([]string{"2", "4"}, sink.ids(t, 2)); diff != "" {
		t.Errorf("the events (-want +got):\n%s", diff)
	}
	if got := testutil.ToFloat64(teller.o.Metrics.Dropped.WithLabelValues("refused")); got != 2 {
		t.Errorf("%v refused ones are counted, want 2", got)
	}
}

func TestTeller_WhatWaitsIsSentAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := newTeller(t, Options{Dir: dir, Sink: sinkOf(t, urlOf(port.New(t)), "")})
	stop := run(t, first)
	tellAll(first, "1", "2")
	stop()
	tellAll(first, "3") // nobody sends any more: a crash
	unfinished := filepath.Join(dir, nameOf(99)+suffix+".new")
	if err := os.WriteFile(unfinished, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}

	sink := newReceiver(t, httptest.NewServer)
	second := newTeller(t, Options{Dir: dir, Sink: sinkOf(t, sink.server.URL, "")})
	tellAll(second, "4")
	run(t, second)
	if diff := cmp.Diff([]string{"1", "2", "3", "4"}, sink.ids(t, 4)); diff != "" {
		t.Errorf("the events (-want +got):\n%s", diff)
	}
	for deadline := time.Now().Add(patience); testutil.ToFloat64(second.o.Metrics.Waiting) > 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what was sent waits still")
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%d files are left (%v), want none", len(entries), err)
	}
}

func TestTeller_ASinkThatDiesAndComesBack(t *testing.T) {
	t.Parallel()
	kept := port.New(t)
	teller := newTeller(t, Options{Sink: sinkOf(t, urlOf(kept), "")})
	run(t, teller)
	tellAll(teller, "1", "2")
	for deadline := time.Now().Add(patience); testutil.ToFloat64(teller.o.Metrics.Failures) == 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the sink that is down was not asked")
		}
	}
	sink := newReceiver(t, func(handler http.Handler) *httptest.Server {
		listener, err := kept.Listen()
		if err != nil {
			t.Fatal(err)
		}
		server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}}
		server.Start()
		return server
	})
	if diff := cmp.Diff([]string{"1", "2"}, sink.ids(t, 2)); diff != "" {
		t.Errorf("the events (-want +got):\n%s", diff)
	}
}

func TestTeller_ASinkThatHangsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 1), make(chan struct{})
	sink := newReceiver(t, httptest.NewServer)
	fail := func(n int) int {
		if n == 1 {
			asked <- struct{}{}
			<-release
		}
		return 0
	}
	sink.fail.Store(&fail)
	teller := newTeller(t, Options{Sink: sinkOf(t, sink.server.URL, ""), Limit: 3})
	run(t, teller)
	tellAll(teller, "0")
	<-asked
	for i := range 9 { // each returns although the first is not taken
		tellAll(teller, fmt.Sprint(i+1))
	}
	if files, err := os.ReadDir(teller.o.Dir); err != nil || len(files) != 3 {
		t.Errorf("%d files (%v), want no more than the limit of 3", len(files), err)
	}
	if got := testutil.ToFloat64(teller.o.Metrics.Dropped.WithLabelValues("full")); got != 7 {
		t.Errorf("%v dropped ones are counted, want 7", got)
	}
	close(release)
	if diff := cmp.Diff([]string{"0", "8", "9"}, sink.ids(t, 3)); diff != "" { // the one under way, and the newest
		t.Errorf("the events (-want +got):\n%s", diff)
	}
}

func TestTeller_ADiskThatTakesNothingIsCounted(t *testing.T) {
	t.Parallel()
	log, lines := logged()
	teller := newTeller(t, Options{Sink: sinkOf(t, urlOf(port.New(t)), ""), Log: log})
	if err := os.RemoveAll(teller.o.Dir); err != nil {
		t.Fatal(err)
	}
	tellAll(teller, "1")
	if got := testutil.ToFloat64(teller.o.Metrics.Dropped.WithLabelValues("storage")); got != 1 || len(lines()) != 1 {
		t.Errorf("%v are counted, and the log says %v; want one of each", got, lines())
	}
	if got := testutil.ToFloat64(teller.o.Metrics.Changes.WithLabelValues("moved")); got != 1 {
		t.Errorf("%v changes are counted, want 1", got)
	}
}

func TestTeller_WithoutASinkItCounts(t *testing.T) {
	t.Parallel()
	teller := newTeller(t, Options{})
	tellAll(teller, "1")
	run(t, teller)
	if got := testutil.ToFloat64(teller.o.Metrics.Changes.WithLabelValues("moved")); got != 1 {
		t.Errorf("%v changes are counted, want 1", got)
	}
	if files, err := os.ReadDir(teller.o.Dir); err != nil || len(files) > 0 {
		t.Errorf("%d files (%v), want none", len(files), err)
	}
	var none *Teller
	tellAll(none, "1")
	none.Run(t.Context())
}

func TestSink_ItsSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	log, lines := logged()
	down := port.New(t).String()
	teller := newTeller(t, Options{Sink: sinkOf(t, "http://user:hunter2@"+down+"/hunter3?token=hunter4", ""), Log: log})
	run(t, teller)
	tellAll(teller, "1")
	for deadline := time.Now().Add(patience); len(lines()) == 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a sink that is down is not logged")
		}
	}
	if said := strings.Join(lines(), "\n"); strings.Contains(said, "hunter") || !strings.Contains(said, down) {
		t.Errorf("the log says %s", said)
	}
	for _, text := range []string{"ftp://hunter2", "http://", "http://u:hunter2@x/%zz", "hunter2", "http://x/#hunter2"} {
		if _, err := ParseSink(text); err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("ParseSink(%q) says %v", text, err)
		}
	}
}

func TestSink_TLS(t *testing.T) {
	t.Parallel()
	sink := newReceiver(t, httptest.NewTLSServer)
	caFile := filepath.Join(t.TempDir(), "ca.crt")
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sink.server.Certificate().Raw})
	if err := os.WriteFile(caFile, content, 0o600); err != nil {
		t.Fatal(err)
	}
	distrustful := newTeller(t, Options{Sink: sinkOf(t, sink.server.URL, "")})
	run(t, distrustful)
	tellAll(distrustful, "0")
	for deadline := time.Now().Add(patience); testutil.ToFloat64(distrustful.o.Metrics.Failures) == 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a certificate of nobody's is trusted")
		}
	}
	teller := newTeller(t, Options{Sink: sinkOf(t, sink.server.URL, caFile)})
	run(t, teller)
	tellAll(teller, "1")
	if diff := cmp.Diff([]string{"1"}, sink.ids(t, 1)); diff != "" {
		t.Errorf("the events (-want +got):\n%s", diff)
	}
	for _, name := range []string{"", filepath.Join(t.TempDir(), "none")} {
		empty := filepath.Join(t.TempDir(), "empty")
		if name == "" {
			name = empty
			if err := os.WriteFile(empty, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := NewSink(sinkOf(t, sink.server.URL, "").url, name); err == nil {
			t.Errorf("the certificates of %s are taken", name)
		}
	}
}
