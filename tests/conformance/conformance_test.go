package conformance

import (
	"slices"
	"strings"
	"testing"
)

// TestConformance runs the suite's cases in the four states. For cold, each case has a process of its own with an empty store; for
// the others, and once more for cold, one process answers them in the suite's order.
func TestConformance(t *testing.T) {
	cases := slices.Concat(pullCases, discoveryCases)
	for _, name := range neverSeen {
		if !slices.ContainsFunc(cases, func(c suiteCase) bool { return c.name == name }) {
			t.Errorf("neverSeen lists %q, which is no case", name)
		}
	}
	forEveryOrigin(t, func(t *testing.T, c *content) {
		t.Run("cold, each alone", func(t *testing.T) {
			for _, sc := range cases {
				t.Run(sc.name, func(t *testing.T) {
					t.Parallel()
					sc.run(t, newSite(t, c, everyTagChecked), states[0])
				})
			}
		})
		s := newSite(t, c, everyTagChecked)
		s.inEveryState(t, func(t *testing.T, st state) {
			for _, sc := range cases {
				t.Run(sc.name, func(t *testing.T) { sc.run(t, s, st) })
			}
		})
	})
}

func (sc suiteCase) run(t *testing.T, s *site, st state) {
	path := sc.path
	if !strings.HasPrefix(path, "/") {
		path = in(path)
	}
	got := s.ask(t, sc.method, path, sc.header...)
	if st.refused != 0 && slices.Contains(neverSeen, sc.name) {
		got.refusedAs(t, st)
		return
	}
	got.want(t, sc.status)
	if sc.check != nil {
		sc.check(t, s, got)
	}
}
