package faults

import (
	"cmp"
	"slices"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

// stage is a site with an image for each probe, in a repository and at a host of its own: so no breaker, hold or transfer of
// one probe meets another's.
type stage struct {
	*site
	row    row
	plain  *origin.Origin // lists referrers under the fallback tag
	api    *origin.Origin // has the referrers API
	images map[string]origin.Image
	others map[string]origin.Image // pulled when the fault is over
	now    map[string][]string     // the items of each list, as the origin has them
	before map[string][]string     // and as they were when the list was stored
}

func newStage(t *testing.T, r row) *stage {
	t.Helper()
	st := &stage{
		row: r, plain: origin.New(t, r.site...), api: origin.New(t, append(slices.Clip(r.site), origin.WithReferrers())...),
		images: map[string]origin.Image{}, others: map[string]origin.Image{},
		now: map[string][]string{}, before: map[string][]string{},
	}
	st.site = newSite(t, st.config(cmp.Or(r.patience, patience))...)
	for _, p := range probes {
		st.images[p.key] = st.of(p).Push(t, p.key+":1", origin.RandomImage(1, layerSize))
		st.others[p.key] = st.of(p).Push(t, p.key+":other", origin.RandomImage(1, origin.MinLayerSize))
		if p.prepare != nil {
			p.prepare(t, st)
		}
	}
	return st
}

// config is a configuration in which no check waits for longer than timeout.
func (st *stage) config(timeout string) []string {
	lines := []string{"checkTimeout: " + timeout, "updateInterval: 0s", "registries:"}
	for _, p := range probes {
		lines = append(lines, registry(p.host(), st.of(p)))
	}
	return lines
}

func (st *stage) of(p probe) *origin.Origin {
	if p.api {
		return st.api
	}
	return st.plain
}

func (st *stage) base(p probe) string { return st.url(p.host(), p.key) }

func (st *stage) arm() {
	for _, o := range []*origin.Origin{st.plain, st.api} {
		if st.row.strike != nil {
			st.row.strike(o)
		}
	}
	for _, p := range probes {
		docs, blobs := documents().In(p.key), origin.Blobs().In(p.key)
		if st.row.once {
			blobs = blobs.First(1)
		}
		if st.row.pausable && p.mirrors {
			st.of(p).Fail(docs.First(1), st.row.docs...)
			continue
		}
		st.of(p).Fail(docs, st.row.docs...)
		st.of(p).Fail(blobs, st.row.blobs...)
	}
}

// documents matches what is not a blob.
func documents() origin.Match {
	kinds := []origin.Kind{origin.KindManifest, origin.KindTags, origin.KindReferrers}
	return origin.Everything().That(func(r *origin.Request) bool { return slices.Contains(kinds, r.Kind) })
}

func (st *stage) heal() {
	st.plain.Heal()
	st.api.Heal()
}

func (st *stage) refuse() {
	st.plain.Refuse()
	st.api.Refuse()
}

// inspect looks at what the store holds after the fault: what came whole, and nothing of what did not.
func (st *stage) inspect(t *testing.T) {
	t.Helper()
	st.holdsOnlyWhole(t)
	for _, p := range probes {
		img := st.images[p.key]
		for dgst, kept := range p.kept(st.row, img) {
			if st.stores(t, dgst) != kept {
				t.Errorf("%s: the store holds %s: %v, want %v", p.name, dgst, !kept, kept)
			}
		}
	}
}

// pullOthers pulls images that were not asked for before, by the process that met the fault.
func (st *stage) pullOthers(t *testing.T) {
	t.Helper()
	for _, p := range probes {
		pull(t, st.base(p), st.others[p.key])
	}
}

// pullAll has a fresh process pull what the fault had struck, and mirror it.
func (st *stage) pullAll(t *testing.T) {
	t.Helper()
	st.configure(t, st.config(patience)...)
	st.Restart(t)
	for _, p := range probes {
		pull(t, st.base(p), st.images[p.key])
		if p.again != nil {
			p.again(t, st)
		}
	}
	if out, err := st.Run(t, "pull", mirrorImage); err != nil {
		t.Errorf("larder pull: %v\n%s", err, out)
	}
}

// pullStored pulls everything again while the origin is down.
func (st *stage) pullStored(t *testing.T) {
	t.Helper()
	for _, p := range probes {
		pull(t, st.base(p), st.images[p.key])
	}
	st.holdsOnlyWhole(t)
}
