package faults

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-dev/larder/tests/origin"
	"github.com/larder-dev/larder/tests/process"
)

// probe is one kind of request that a fault may strike.
type probe struct {
	name    string // with the rules
	key     string // its repository, and its host
	api     bool   // at the origin with the referrers API
	mirrors bool
	prepare func(*testing.T, *stage) // before the fault
	ask     func(*testing.T, *stage, row)
	again   func(*testing.T, *stage) // after it, by a fresh process
	// kept says which content the store must hold after the fault, and which not.
	kept func(row, origin.Image) map[digest.Digest]bool
}

func (p probe) host() string { return p.key + ".example" }

const (
	mirrorKey   = "mirror"
	mirrorImage = "mirror.example/mirror:1"
)

// probes is filled by init: what they do refers to them.
var probes []probe

func init() {
	probes = []probe{
		{name: "T1 T9 A manifest by tag", key: "tag", ask: askManifest("tag", tagOf), kept: keptManifest},
		{name: "T7 T9 A manifest by digest", key: "digest", ask: askManifest("digest", digestOf), kept: keptManifest},
		{name: "T9 A manifest by tag, as a mirror", key: "ns", ask: askNamespace, kept: keptManifest},
		{name: "T5 T6 A cached tag that moved", key: "check", prepare: moveTag, ask: askMoved, kept: keptMoved},
		{name: "B3 B4 A blob", key: "blob", prepare: storeManifest, ask: askBlob, kept: keptBlob},
		{name: "B3 B4 A blob of unknown size", key: "unsized", ask: askUnsized, kept: keptUnsized},
		listProbe("D1 Tags", "tags", pathTags, nil),
		listProbe("D1 D2 Referrers, fallback tag", "fallback", pathReferrers, nil),
		listProbe("D1 D2 Referrers, API", "api", pathReferrers, nil),
		listProbe("D1 Stored tags that are due", "retags", pathTags, moreTags),
		listProbe("D1 Stored referrers that are due", "rerefer", pathReferrers, moreReferrers),
		{name: "M1 P1 An image by larder pull", key: mirrorKey, mirrors: true, ask: askMirror, kept: keptMirror},
	}
}

func keptNothing(row, origin.Image) map[digest.Digest]bool { return nil }

func (st *stage) urlOf(key, path string) string { return st.url(key+".example", key) + path }

func tagOf(img origin.Image) string    { return img.Tag }
func digestOf(img origin.Image) string { return img.Digest.String() }

func askManifest(key string, reference func(origin.Image) string) func(*testing.T, *stage, row) {
	return func(t *testing.T, st *stage, r row) {
		img := st.images[key]
		r.manifest.check(t, ask(t, http.MethodGet, st.urlOf(key, "/manifests/"+reference(img))), img.Digest)
	}
}

func keptManifest(r row, img origin.Image) map[digest.Digest]bool {
	return map[digest.Digest]bool{img.Digest: r.manifest.isWhole()}
}

// askNamespace asks as containerd does: a 429 would make it wait here instead of going on to the origin.
func askNamespace(t *testing.T, st *stage, r row) {
	want := r.manifest
	if want.status == http.StatusTooManyRequests {
		want.name, want.status = "503", http.StatusServiceUnavailable
	}
	img := st.images["ns"]
	want.check(t, ask(t, http.MethodGet, "http://"+st.Addr+"/v2/ns/manifests/1?ns=ns.example"), img.Digest)
}

func storeManifest(t *testing.T, st *stage) {
	t.Helper()
	whole.check(t, ask(t, http.MethodGet, st.urlOf("blob", "/manifests/1")), st.images["blob"].Digest)
}

// moveTag stores a tag, and then has its owner move it.
func moveTag(t *testing.T, st *stage) {
	t.Helper()
	whole.check(t, ask(t, http.MethodGet, st.urlOf("check", "/manifests/1")), st.images["check"].Digest)
	st.before["check"] = []string{st.images["check"].Digest.String()}
	st.images["check"] = st.plain.Push(t, "check:1", origin.RandomImage(1, layerSize))
}

func askMoved(t *testing.T, st *stage, r row) {
	moved, expected := st.images["check"], st.images["check"].Digest
	if r.check.why != "" {
		expected = digest.Digest(st.before["check"][0])
	}
	r.check.check(t, ask(t, http.MethodGet, st.urlOf("check", "/manifests/1")), expected)
	if r.check.later {
		process.Eventually(t, "the check that runs on is answered", func() bool {
			return ask(t, http.MethodGet, st.urlOf("check", "/manifests/1")).holds(moved.Digest)
		})
	}
}

func keptMoved(r row, moved origin.Image) map[digest.Digest]bool {
	return map[digest.Digest]bool{moved.Digest: r.check.isWhole() || r.check.later}
}

func askBlob(t *testing.T, st *stage, r row)    { st.askLayer(t, "blob", r.blob) }
func askUnsized(t *testing.T, st *stage, r row) { st.askLayer(t, "unsized", r.unsized) }

func (st *stage) askLayer(t *testing.T, key string, want want) {
	t.Helper()
	layer := st.images[key].Blobs[1].Digest
	want.check(t, ask(t, http.MethodGet, st.urlOf(key, "/blobs/"+layer.String())), layer)
}

func keptBlob(r row, img origin.Image) map[digest.Digest]bool {
	return map[digest.Digest]bool{img.Digest: true, img.Blobs[1].Digest: r.blob.isWhole()}
}

func keptUnsized(r row, img origin.Image) map[digest.Digest]bool {
	return map[digest.Digest]bool{img.Blobs[1].Digest: r.unsized.isWhole()}
}

func askMirror(t *testing.T, st *stage, r row) {
	out, err := st.Run(t, "pull", mirrorImage)
	if (err == nil) != r.mirror.isWhole() || !strings.Contains(out, mirrorImage) {
		t.Errorf("larder pull: want %s, got %v and\n%s", r.mirror.name, err, out)
	}
}

func keptMirror(r row, img origin.Image) map[digest.Digest]bool {
	if !r.mirror.isWhole() {
		return nil
	}
	kept := map[digest.Digest]bool{img.Digest: true}
	for _, b := range img.Blobs {
		kept[b.Digest] = true
	}
	return kept
}

// listProbe asks for a list. With more, the list is stored first, and more comes to it at the origin.
func listProbe(name, key string, path func(origin.Image) string, more func(*testing.T, *stage, string)) probe {
	p := probe{name: name, key: key, api: strings.Contains(name, "API") || key == "rerefer", kept: keptNothing}
	refers := strings.Contains(name, "eferrers")
	p.prepare = func(t *testing.T, st *stage) {
		if refers {
			moreReferrers(t, st, key)
		} else {
			st.now[key] = []string{"1", "other"}
		}
		if more != nil {
			whole.checkList(t, ask(t, http.MethodGet, st.urlOf(key, path(st.images[key]))), st.now[key], nil)
			st.before[key] = slices.Clone(st.now[key])
			more(t, st, key)
		}
	}
	p.ask = func(t *testing.T, st *stage, r row) {
		a := ask(t, http.MethodGet, st.urlOf(key, path(st.images[key])))
		r.wantList(key, refers, more != nil).checkList(t, a, st.now[key], st.before[key])
	}
	p.again = func(t *testing.T, st *stage) {
		whole.checkList(t, ask(t, http.MethodGet, st.urlOf(key, path(st.images[key]))), st.now[key], nil)
	}
	return p
}

func (r row) wantList(key string, refers, stored bool) want {
	switch {
	case key == "fallback":
		return cmp.Or(r.fallback, r.refer, r.list)
	case refers && stored:
		return cmp.Or(r.rerefer, r.recheck)
	case refers:
		return cmp.Or(r.refer, r.list)
	case stored:
		return r.recheck
	}
	return r.list
}

func pathTags(origin.Image) string          { return "/tags/list" }
func pathReferrers(img origin.Image) string { return "/referrers/" + img.Digest.String() }

func moreTags(t *testing.T, st *stage, key string) {
	t.Helper()
	st.plain.Push(t, key+":more", origin.RandomImage(1, origin.MinLayerSize))
	st.now[key] = []string{"1", "more", "other"}
}

func moreReferrers(t *testing.T, st *stage, key string) {
	t.Helper()
	o := st.plain
	if key != "fallback" {
		o = st.api
	}
	artifact := o.Push(t, key, origin.Artifact(st.images[key], "application/vnd.example.sbom"))
	st.now[key] = append(slices.Clone(st.now[key]), artifact.Digest.String())
	slices.Sort(st.now[key])
}
