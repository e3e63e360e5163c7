package faults

import (
	"strconv"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

// cut is where a body breaks: in the middle of every manifest, list and layer that the tests have.
const (
	cutManifest = 20
	cutBlob     = 100_000
	layerSize   = 256 << 10
)

// retryAfter is what the origin says with a 429, in seconds.
const retryAfter = 2

// patience is the checkTimeout where no check may be late.
const patience = "20s"

// row is one fault, and what becomes of each kind of request while it lasts.
type row struct {
	name     string
	site     []origin.Option
	strike   func(*origin.Origin) // where the fault is not one of the effects
	docs     []origin.Effect      // strike manifests, tags and referrers
	blobs    []origin.Effect      // strike blobs
	once     bool                 // each blob meets the fault once, not each time that it is asked for
	pausable bool                 // a mirror meets the fault once, at its manifest: it waits and goes on
	patience string               // checkTimeout; empty: longer than any answer takes

	manifest want // T1, T9: never seen, by tag and by digest
	check    want // T5, T6: a cached tag that its owner has moved
	blob     want // B1 to B4: never seen, its size known from its manifest
	unsized  want // the same, its size not known
	list     want // D1: tags and referrers never seen
	recheck  want // D1: the same, stored and due
	refer    want // D2: referrers never seen, where that is not as list
	rerefer  want // D2: stored referrers that are due, where that is not as recheck
	fallback want // D2: referrers never seen under the fallback tag, where that is not as refer
	mirror   want // M1, P1: larder pull
}

// rows is the matrix. Where a column says whole, the fault does no harm.
var rows = []row{
	{
		name: "Connection refused", strike: (*origin.Origin).Refuse,
		manifest: badGateway, check: stale("unreachable"), blob: badGateway, unsized: badGateway,
		list: badGateway, recheck: stale("unreachable"), mirror: badGateway,
	},
	{
		name: "Connection reset before the answer",
		docs: effects(origin.Reset()), blobs: effects(origin.Reset()),
		manifest: badGateway, check: stale("unreachable"), blob: badGateway, unsized: badGateway,
		list: badGateway, recheck: stale("unreachable"), mirror: badGateway,
	},
	{
		name: "Connection reset in the middle of a body",
		docs: effects(origin.ResetAfter(cutManifest)), blobs: effects(origin.ResetAfter(cutBlob)), once: true,
		manifest: badGateway, check: stale("unreachable"), blob: whole, unsized: whole,
		list: badGateway, recheck: stale("unreachable"), mirror: badGateway,
	},
	{
		name: "Body cut short, every time",
		docs: effects(origin.TruncateAfter(cutManifest)), blobs: effects(origin.TruncateAfter(cutBlob)),
		manifest: badGateway, check: stale("unreachable"), blob: whole, unsized: whole,
		list: badGateway, recheck: stale("unreachable"), mirror: badGateway,
	},
	{
		name: "Body cut short before the first byte, every time",
		docs: effects(origin.TruncateAfter(0)), blobs: effects(origin.TruncateAfter(0)),
		manifest: badGateway, check: stale("unreachable"), blob: brokenOff, unsized: brokenOff,
		list: badGateway, recheck: stale("unreachable"), mirror: badGateway,
	},
	{
		name: "Body cut short, and ranges ignored",
		docs: effects(), blobs: effects(origin.IgnoreRange(), origin.TruncateAfter(cutBlob)), once: true,
		manifest: whole, check: whole, blob: whole, unsized: whole, list: whole, recheck: whole, mirror: whole,
	},
	{
		name: "Wrong bytes",
		docs: effects(origin.Corrupt(0)), blobs: effects(origin.Corrupt(cutBlob)),
		manifest: badGateway, check: stale("invalid"), blob: brokenOff, unsized: brokenOff,
		list: badGateway, recheck: stale("invalid"), mirror: badGateway,
	},
	{
		name: "Wrong last byte of a blob",
		docs: effects(), blobs: effects(origin.Corrupt(layerSize - 1)),
		manifest: whole, check: whole, blob: brokenOff, unsized: brokenOff, list: whole, recheck: whole, mirror: badGateway,
	},
	{
		name: "Length too large",
		docs: effects(origin.WrongLength(5)), blobs: effects(origin.WrongLength(5)),
		manifest: badGateway, check: stale("invalid"), blob: badGateway, unsized: brokenOff,
		list: whole, recheck: whole, refer: badGateway, rerefer: stale("invalid"), mirror: badGateway,
	},
	{
		name: "Length too small",
		docs: effects(origin.WrongLength(-5)), blobs: effects(origin.WrongLength(-5)),
		manifest: badGateway, check: stale("invalid"), blob: badGateway, unsized: brokenOff,
		list: whole, recheck: whole, refer: badGateway, rerefer: stale("invalid"), mirror: badGateway,
	},
	{
		name: "Wrong digest header",
		docs: effects(origin.WrongDigestHeader()), blobs: effects(origin.WrongDigestHeader()),
		manifest: badGateway, check: stale("404"), blob: whole, unsized: whole,
		list: whole, recheck: whole, fallback: badGateway, mirror: badGateway,
	},
	{
		name: "No digest header",
		docs: effects(origin.NoDigestHeader()), blobs: effects(origin.NoDigestHeader()),
		manifest: whole, check: whole, blob: whole, unsized: whole, list: whole, recheck: whole, mirror: whole,
	},
	{
		// Slow enough for every check to be late, and fast enough to bring a manifest within the 15 s after which one is given up.
		name: "Slow drip", patience: "200ms",
		docs: effects(origin.Drip(80)), blobs: effects(origin.Drip(128 << 10)),
		manifest: whole, check: late, blob: whole, unsized: whole, list: whole, recheck: stale("timeout"), mirror: whole,
	},
	{
		name: "Stall after the headers", patience: "500ms",
		docs: effects(origin.StallAfter(0)), blobs: effects(origin.StallAfter(0)), once: true,
		manifest: timedOut, check: stale("timeout"), blob: whole, unsized: whole,
		list: timedOut, recheck: stale("timeout"), mirror: timedOut,
	},
	{
		name: "Stall before the headers", patience: "500ms",
		docs: effects(origin.Hang()), blobs: effects(origin.Hang()),
		manifest: timedOut, check: stale("timeout"), blob: timedOut, unsized: timedOut,
		list: timedOut, recheck: stale("timeout"), mirror: timedOut,
	},
	{
		name: "Redirect loop",
		docs: effects(origin.RedirectLoop()), blobs: effects(origin.RedirectLoop()),
		manifest: badGateway, check: stale("invalid"), blob: badGateway, unsized: badGateway,
		list: badGateway, recheck: stale("invalid"), mirror: badGateway,
	},
	{
		name: "Token endpoint down", site: options(origin.WithTokens(origin.User{})),
		strike:   func(o *origin.Origin) { o.RefuseTokens(); o.ExpireTokens() },
		manifest: badGateway, check: stale("unreachable"), blob: badGateway, unsized: badGateway,
		list: badGateway, recheck: stale("unreachable"), mirror: badGateway,
	},
	{
		name: "Token endpoint answers 500", site: options(origin.WithTokens(origin.User{})),
		strike: func(o *origin.Origin) {
			o.Fail(origin.Tokens(), origin.Status(500))
			o.ExpireTokens()
		},
		manifest: badGateway, check: stale("500"), blob: badGateway, unsized: badGateway,
		list: badGateway, recheck: stale("500"), mirror: badGateway,
	},
	{
		name: "Tokens expired", site: options(origin.WithTokens(origin.User{})), strike: (*origin.Origin).ExpireTokens,
		manifest: whole, check: whole, blob: whole, unsized: whole, list: whole, recheck: whole, mirror: whole,
	},
	{
		name: "429 with Retry-After", pausable: true,
		docs: effects(origin.Status(429, "Retry-After", strconv.Itoa(retryAfter))), blobs: effects(origin.Status(429, "Retry-After", strconv.Itoa(retryAfter))),
		manifest: limited, check: stale("429"), blob: limited, unsized: limited,
		list: limited, recheck: stale("429"), mirror: whole,
	},
	{
		name: "429 without Retry-After", pausable: true,
		docs: effects(origin.Status(429)), blobs: effects(origin.Status(429)),
		manifest: limited, check: stale("429"), blob: limited, unsized: limited,
		list: limited, recheck: stale("429"), mirror: whole,
	},
	{
		name: "503",
		docs: effects(origin.Status(503)), blobs: effects(origin.Status(503)),
		manifest: badGateway, check: stale("503"), blob: badGateway, unsized: badGateway,
		list: badGateway, recheck: stale("503"), mirror: badGateway,
	},
	{
		name: "403",
		docs: effects(origin.Status(403)), blobs: effects(origin.Status(403)),
		manifest: denied, check: stale("403"), blob: denied, unsized: denied, list: denied, recheck: stale("403"), mirror: denied,
	},
	{
		name: "404 for what was there",
		docs: effects(origin.Status(404)), blobs: effects(origin.Status(404)),
		manifest: unknown, check: stale("404"), blob: unknown, unsized: unknown,
		list: unknown, recheck: stale("404"), refer: nothing, rerefer: nothing, mirror: unknown,
	},
	{
		name: "HTTP 1.0, ended by the close",
		docs: effects(origin.HTTP10(), origin.NoLength()), blobs: effects(origin.HTTP10(), origin.NoLength()),
		manifest: whole, check: whole, blob: whole, unsized: whole, list: whole, recheck: whole, mirror: whole,
	},
	{
		name:     "HTTP 1.0, closed too early",
		docs:     effects(origin.HTTP10(), origin.NoLength(), origin.TruncateAfter(cutManifest)),
		blobs:    effects(origin.HTTP10(), origin.NoLength(), origin.TruncateAfter(cutBlob)),
		manifest: badGateway, check: stale("invalid"), blob: brokenOff, unsized: brokenOff,
		list: badGateway, recheck: stale("invalid"), mirror: badGateway,
	},
	{
		name: "Chunked, without a length",
		docs: effects(origin.NoLength()), blobs: effects(origin.NoLength()),
		manifest: whole, check: whole, blob: whole, unsized: whole, list: whole, recheck: whole, mirror: whole,
	},
	{
		name: "Chunked, cut short once",
		docs: effects(), blobs: effects(origin.NoLength(), origin.TruncateAfter(cutBlob)), once: true,
		manifest: whole, check: whole, blob: whole, unsized: whole, list: whole, recheck: whole, mirror: whole,
	},
	{
		name: "Gzip that nobody asked for",
		docs: effects(origin.Gzip()), blobs: effects(origin.Gzip()),
		manifest: badGateway, check: stale("invalid"), blob: badGateway, unsized: badGateway,
		list: badGateway, recheck: stale("invalid"), mirror: badGateway,
	},
	{
		name: "Garbage instead of TLS", site: options(origin.WithTLS()), strike: (*origin.Origin).Babble,
		manifest: badGateway, check: stale("unreachable"), blob: badGateway, unsized: badGateway,
		list: badGateway, recheck: stale("unreachable"), mirror: badGateway,
	},
}

func effects(e ...origin.Effect) []origin.Effect { return e }

func options(o ...origin.Option) []origin.Option { return o }

// TestFault_Matrix arms each fault, asks for everything that it may strike, looks into the store, takes the fault back, and pulls
// everything: other images at once, the same ones by a fresh process (T9 lets a failure stand for some seconds).
func TestFault_Matrix(t *testing.T) {
	t.Parallel()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, r)
			st.arm()
			t.Run("While it lasts", func(t *testing.T) {
				for _, p := range probes {
					t.Run(p.name, func(t *testing.T) {
						t.Parallel()
						p.ask(t, st, r)
					})
				}
			})
			st.inspect(t)
			st.heal()
			st.pullOthers(t)
			st.pullAll(t)
			st.refuse()
			st.pullStored(t)
		})
	}
}
