// Package metrics declares every metric of the cache in one place, under the prefix larder_. It counts; it decides nothing.
package metrics

import "github.com/prometheus/client_golang/prometheus"

// Metrics holds the collectors. Every package that counts gets the one that the process made.
type Metrics struct {
	Requests         *prometheus.CounterVec   // kind (manifest, blob, tags, referrers, base, other), method, code, cache (hit, miss, collapsed, revalidated, stale, none)
	RequestDuration  *prometheus.HistogramVec // kind, cache: seconds until the answer is complete
	FirstByte        *prometheus.HistogramVec // kind, cache: seconds until the answer's headers are written
	ClientBytes      *prometheus.CounterVec   // kind: body bytes sent to clients
	OriginBytes      *prometheus.CounterVec   // host: body bytes received from origins
	OriginRequests   *prometheus.CounterVec   // host, kind (manifest, blob, tags, referrers, token, ping), code (status, or "error")
	OriginDuration   *prometheus.HistogramVec // host, kind: seconds until the origin's headers
	Fetches          prometheus.Gauge         // running fetches
	FetchReaders     prometheus.Gauge         // readers joined to running fetches
	FetchFailures    *prometheus.CounterVec   // cause (unreachable, denied, not_found, rate_limited, invalid, no_room, storage)
	FetchResumes     prometheus.Counter       // connections resumed in the middle of a blob
	DigestMismatches *prometheus.CounterVec   // host: bodies whose digest or size was not the expected one
	Checks           *prometheus.CounterVec   // outcome (unchanged, changed, held, unreachable, timeout, denied, not_found, rate_limited, invalid)
	StaleAnswers     *prometheus.CounterVec   // reason
	ImmutableMoves   prometheus.Counter       // immutable tags found at another digest at their origin, once for each digest
	Breaker          *prometheus.GaugeVec     // host: 0 closed, 1 open
	PassThrough      *prometheus.CounterVec   // reason (no_room, range): blob answers that were not stored
	DamagedBlobs     prometheus.Counter       // stored blobs found truncated or missing when they were needed
	MirroredImages   *prometheus.CounterVec   // outcome (ok, failed): of CachedImages and of tags that moved
	CachedImages     *prometheus.GaugeVec     // state (ready, failing, pending): images that CachedImages ask for
	ManifestProblems prometheus.Gauge         // what is not in force of the folder of manifests
	Sweeps           *prometheus.CounterVec   // outcome (ok, failed)
	SweepDuration    prometheus.Gauge         // seconds that the last sweep took
	SweptBlobs       prometheus.Counter       // blobs deleted because nothing reached them
	SweptBytes       prometheus.Counter       // their bytes
	SweepWaiting     prometheus.Gauge         // bytes that nothing reaches, and that wait for their grace period
	ScrubbedBytes    prometheus.Counter       // bytes of stored blobs that were hashed again
	ScrubbedBad      *prometheus.CounterVec   // outcome (repaired, lost): stored blobs that did not have their digest any more
	StoreBytes       prometheus.Gauge         // bytes of the stored blobs, where the store has a limit
	StoreCrowded     prometheus.Gauge         // 1 while the store is larger than its limit and all that is left is in use
	Evictions        prometheus.Counter       // images removed because the store was larger than its limit
	BuildInfo        *prometheus.GaugeVec     // version: always 1

	PullsDenied *prometheus.CounterVec // reason (see package grant): pulls that were refused to who asked
	GrantChecks *prometheus.CounterVec // outcome (granted, denied, not_found, unavailable): credentials of which the origin was asked
	HeldNames   prometheus.Gauge       // repositories of which larder-proxy is told only that the registry has to be asked
}

// New registers the metrics with reg.
func New(reg prometheus.Registerer) *Metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "larder_" + name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "larder_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "larder_" + name, Help: help})
		reg.MustRegister(g)
		return g
	}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "larder_" + name, Help: help}, labels)
		reg.MustRegister(g)
		return g
	}
	histograms := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "larder_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10),
		}, labels)
		reg.MustRegister(h)
		return h
	}
	return &Metrics{
		Requests:         counters("requests_total", "Requests by kind, method, status code and cache status.", "kind", "method", "code", "cache"),
		RequestDuration:  histograms("request_duration_seconds", "Time until an answer is complete.", "kind", "cache"),
		FirstByte:        histograms("request_first_byte_seconds", "Time until an answer's headers are written.", "kind", "cache"),
		ClientBytes:      counters("client_bytes_total", "Body bytes sent to clients.", "kind"),
		OriginBytes:      counters("origin_bytes_total", "Body bytes received from origins.", "host"),
		OriginRequests:   counters("origin_requests_total", "Requests to origins by kind and status code.", "host", "kind", "code"),
		OriginDuration:   histograms("origin_request_duration_seconds", "Time until an origin's headers.", "host", "kind"),
		Fetches:          gauge("fetches_running", "Transfers of blobs from origins that are running."),
		FetchReaders:     gauge("fetch_readers", "Readers that follow a running transfer."),
		FetchFailures:    counters("fetch_failures_total", "Transfers of blobs that failed, by cause.", "cause"),
		FetchResumes:     counter("fetch_resumes_total", "Transfers resumed after a connection broke or stalled."),
		DigestMismatches: counters("digest_mismatches_total", "Bodies from origins whose size or digest was wrong.", "host"),
		Checks:           counters("checks_total", "Checks of tags at their origins by outcome.", "outcome"),
		StaleAnswers:     counters("stale_answers_total", "Answers from the store that a check could not confirm, by reason.", "reason"),
		ImmutableMoves:   counter("immutable_tag_moves_total", "Immutable tags that were found moved at their origin, once for each new digest."),
		Breaker:          gauges("origin_breaker_open", "1 while checks at this origin are held after a failure, else 0.", "host"),
		PassThrough:      counters("pass_through_total", "Blob answers streamed from the origin without being stored, by reason.", "reason"),
		DamagedBlobs:     counter("damaged_blobs_total", "Stored blobs found truncated or missing when they were needed."),
		MirroredImages:   counters("mirrored_images_total", "Mirrors of CachedImages and of moved tags that ended, by outcome.", "outcome"),
		CachedImages:     gauges("cached_images", "Images that CachedImages ask for, by how their last mirror ended.", "state"),
		ManifestProblems: gauge("manifest_problems", "Mistakes in the folder of manifests: what is not in force because of them is logged."),
		Sweeps:           counters("sweeps_total", "Sweeps that ended, by outcome.", "outcome"),
		SweepDuration:    gauge("sweep_duration_seconds", "How long the last sweep took."),
		SweptBlobs:       counter("sweep_deleted_blobs_total", "Blobs deleted because nothing reached them."),
		SweptBytes:       counter("sweep_freed_bytes_total", "Bytes of the blobs deleted because nothing reached them."),
		SweepWaiting:     gauge("sweep_waiting_bytes", "Bytes of blobs that nothing reaches, and that are deleted after a grace period."),
		ScrubbedBytes:    counter("scrub_bytes_total", "Bytes of stored blobs hashed again in the background."),
		ScrubbedBad:      counters("scrub_bad_blobs_total", "Stored blobs that did not have their digest any more, by what became of them.", "outcome"),
		StoreBytes:       gauge("store_bytes", "Bytes of the stored blobs, as last looked at; only with a limit."),
		StoreCrowded:     gauge("store_over_limit", "1 while the store is larger than its limit and all that is left is in use, else 0."),
		Evictions:        counter("evictions_total", "Images removed because the store was larger than its limit."),
		BuildInfo:        gauges("build_info", "The version of this process.", "version"),

		PullsDenied: counters("pulls_denied_total", "Pulls refused because nothing grants them, by reason.", "reason"),
		GrantChecks: counters("grant_checks_total", "Questions to origins whether a credential may pull, by outcome.", "outcome"),
		HeldNames:   gauge("names_held", "Repositories of which proxies, told of too many, know only that no tag may come from an origin."),
	}
}

// ForgetOrigin removes what is counted of an origin: which ones there are, clients can make up.
func (m *Metrics) ForgetOrigin(host string) {
	of := prometheus.Labels{"host": host}
	m.OriginBytes.DeletePartialMatch(of)
	m.OriginRequests.DeletePartialMatch(of)
	m.OriginDuration.DeletePartialMatch(of)
	m.DigestMismatches.DeletePartialMatch(of)
	m.Breaker.DeletePartialMatch(of)
}
