package conformance

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestConformance_D2_PagesToTheEnd follows Link from page to page, as clients do, for pages of every size, in both namings.
func TestConformance_D2_PagesToTheEnd(t *testing.T) {
	forEveryOrigin(t, func(t *testing.T, c *content) {
		s := newSite(t, c)
		all := slices.Sorted(slices.Values(c.tags))
		s.inEveryState(t, func(t *testing.T, _ state) {
			for n := 1; n <= len(all)+1; n++ {
				for _, path := range []string{in("tags/list?n=%d"), "/v2/" + repository + "/tags/list?n=%d&ns=reg.example"} {
					s.follow(t, fmt.Sprintf(path, n), n, all)
				}
			}
			if got := s.ask(t, "GET", in("tags/list?n=0")).want(t, 200); len(got.tags(t)) != 0 || got.Header.Get("Link") != "" {
				t.Errorf("%s: got %s and Link %q, want no tags", got.what, oneLine(got.body), got.Header.Get("Link"))
			}
			for _, n := range []string{"-1", "x", "1.5", "99999999999999999999", ""} {
				s.ask(t, "GET", in("tags/list?n="+n)).want(t, 400)
			}
			s.last(t, all)
		})
	})
}

func (s *site) follow(t *testing.T, path string, n int, all []string) {
	t.Helper()
	base, err := url.Parse("http://" + s.larder.Addr + path)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for page := 1; ; page++ {
		got := s.ask(t, "GET", base.RequestURI()).want(t, 200)
		tags := got.tags(t)
		if seen = append(seen, tags...); len(tags) > n || page > len(all) {
			t.Fatalf("%s: page %d has %d tags", got.what, page, len(tags))
		}
		link := got.Header.Get("Link")
		if link == "" {
			break
		}
		if len(tags) != n {
			t.Errorf("%s: a page of %d tags, and yet another follows", got.what, len(tags))
		}
		if base, err = base.Parse(nextOf(t, link)); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(seen, all) {
		t.Errorf("%s: the pages make %q, want %q", path, seen, all)
	}
}

// nextOf reads a Link as RFC 8288 has it.
func nextOf(t *testing.T, link string) string {
	t.Helper()
	target, params, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok || strings.TrimSpace(strings.TrimPrefix(params, ";")) != `rel="next"` {
		t.Fatalf("got Link %q", link)
	}
	return target
}

// last asks for what follows a tag, one that is there or not.
func (s *site) last(t *testing.T, all []string) {
	t.Helper()
	for last, want := range map[string][]string{
		all[0]: all[1:], all[len(all)-1]: nil, "zzz": nil, "0": all, "test1a": all[slices.Index(all, "test2"):], "": all,
	} {
		if got := s.ask(t, "GET", in("tags/list?last="+last)).want(t, 200); !slices.Equal(got.tags(t), want) {
			t.Errorf("%s: got %s, want %q", got.what, oneLine(got.body), want)
		}
	}
}

// TestConformance_D2_Filter filters referrers by the type of the artifact.
func TestConformance_D2_Filter(t *testing.T) {
	forEveryOrigin(t, func(t *testing.T, c *content) {
		s := newSite(t, c, everyTagChecked)
		s.inEveryState(t, func(t *testing.T, _ state) {
			for artifactType, want := range map[string][]string{
				typeA: {typeA, typeA}, typeB: {typeB, typeB}, "application/vnd.nothing": {}, "application%2Fvnd.nhl.peanut.butter.bagel": {typeA, typeA},
			} {
				got := s.ask(t, "GET", in("referrers/{manifest}?artifactType="+artifactType)).want(t, 200)
				filtered(want...)(t, s, got)
			}
			got := s.ask(t, "GET", in("referrers/{manifest}")).want(t, 200)
			if applied := got.Header.Values("OCI-Filters-Applied"); len(applied) != 0 {
				t.Errorf("%s: got OCI-Filters-Applied %q without a filter", got.what, applied)
			}
			referrers("", typeA, typeA, typeB, typeB)(t, s, got)
		})
	})
}

// TestConformance_D1_NeverEmptyByAccident asks for what refers to images while the origin fails: a list that nobody has seen is
// not an empty one.
func TestConformance_D1_NeverEmptyByAccident(t *testing.T) {
	forEveryOrigin(t, func(t *testing.T, c *content) {
		for _, st := range states[2:] {
			st.change(c.origin)
			s := newSite(t, c)
			for _, path := range []string{"tags/list", "referrers/{manifest}", "referrers/{missing}", "referrers/{manifest}?artifactType=" + typeA} {
				s.ask(t, "GET", in(path)).refusedAs(t, st)
			}
			c.origin.Heal()
		}
	})
}
