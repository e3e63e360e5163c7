package upstream

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTags_Pages(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		link   func(r *http.Request) string // from the first page to the second
		reason Reason
	}{
		{"Relative", func(*http.Request) string { return `</v2/team/app/tags/list?last=b>; rel="next"` }, ""},
		{"Relative to the page", func(*http.Request) string { return `<list?last=b>;rel=next` }, ""},
		{"Absolute", func(r *http.Request) string {
			return `<http://` + r.Host + `/v2/team/app/tags/list?last=b>; rel="next"`
		}, ""},
		{"With the wrong scheme", func(r *http.Request) string {
			return `<https://` + r.Host + `/v2/team/app/tags/list?last=b>; rel="next"`
		}, ""},
		{"After another link", func(*http.Request) string { return `</a>; rel="prev first", <?last=b>; title="x"; rel="last next"` }, ""},
		{"To another host", func(*http.Request) string { return `<http://other.test/v2/team/app/tags/list?last=b>; rel="next"` }, Invalid},
		{"To what is no URL", func(*http.Request) string { return `<http://%zz>; rel="next"` }, Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, unlessPing(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("last") == "b" {
					fmt.Fprint(w, `{"name":"team/app","tags":["a","d","not a tag"]}`)
					return
				}
				if r.URL.Query().Get("n") != "1000" {
					w.WriteHeader(http.StatusBadRequest)
					return
				}
				w.Header().Set("Link", tt.link(r))
				fmt.Fprint(w, `{"name":"team/app","tags":["b","a","../c"]}`)
			}))
			tags, err := newClient(t, at("reg.test", s.URL)).Tags(t.Context(), app("reg.test"))
			if tt.reason != "" {
				_ = wantError(t, err, tt.reason)
				return
			}
			must(t, err)
			if diff := cmp.Diff([]string{"a", "b", "d"}, tags); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTags_EndlessPagesEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, unlessPing(func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		w.Header().Set("Link", fmt.Sprintf(`<?page=%d>; rel="next"`, page+1))
		fmt.Fprint(w, `{"tags":[]}`)
	}))
	_, err := newClient(t, at("reg.test", s.URL)).Tags(t.Context(), app("reg.test"))
	if e := wantError(t, err, Invalid); !strings.Contains(e.Error(), "pages") {
		t.Errorf("got %v", e)
	}
}

func TestTags_PagesThatLeadBack(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := serve(t, unlessPing(func(w http.ResponseWriter, r *http.Request) {
		next := map[string]string{"": "b", "b": "c", "c": "b"}[r.URL.Query().Get("page")]
		asked.Add(1)
		w.Header().Set("Link", fmt.Sprintf(`<?page=%s>; rel="next"`, next))
		fmt.Fprint(w, `{"tags":[]}`)
	}))
	_, err := newClient(t, at("reg.test", s.URL)).Tags(t.Context(), app("reg.test"))
	if e := wantError(t, err, Invalid); !strings.Contains(e.Error(), "leads back") || asked.Load() != 3 {
		t.Errorf("got %v after %d pages", e, asked.Load())
	}
}

func TestTags_WrongAnswers(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "null", "[]", "<html>", `{"tags":"a"}`, `{"tags":["a"]`} {
		s := serve(t, unlessPing(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, content) }))
		_, err := newClient(t, at("reg.test", s.URL)).Tags(t.Context(), app("reg.test"))
		_ = wantError(t, err, Invalid)
	}
	s := serve(t, unlessPing(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"tags":null}`) }))
	tags, err := newClient(t, at("reg.test", s.URL)).Tags(t.Context(), app("reg.test"))
	if must(t, err); tags == nil || len(tags) != 0 {
		t.Errorf("got %v, want an empty list", tags)
	}
}

func FuzzNextLink(f *testing.F) {
	for _, seed := range []string{`</a>; rel="next"`, `<`, `<a>`, `<a>;rel=next,<b>`, `<a>; rel="x next`, `>;rel=next<`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		target, found := nextLink([]string{header})
		if found && !strings.Contains(header, "<"+target+">") {
			t.Fatalf("%q has no target %q", header, target)
		}
	})
}
