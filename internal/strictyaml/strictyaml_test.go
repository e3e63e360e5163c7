package strictyaml_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/larder-dev/larder/internal/strictyaml"
)

type inlined struct {
	Kind string `json:"kind,omitempty"`
}

type target struct {
	inlined `json:",inline"`
	Name    string                    `json:"name"`
	Count   int                       `json:"count"`
	Share   float64                   `json:"share"`
	On      *bool                     `json:"on,omitempty"`
	List    []target                  `json:"list"`
	Free    map[string]map[string]any `json:"free"`
	Skipped string                    `json:"-"`
}

func decode(t *testing.T, text string) (target, []strictyaml.Problem) {
	t.Helper()
	documents, problems := strictyaml.Parse([]byte(text))
	if len(problems) > 0 {
		return target{}, problems
	}
	if len(documents) != 1 {
		t.Fatalf("%d documents in %q, want 1", len(documents), text)
	}
	var got target
	return got, documents[0].Decode(&got)
}

func TestDocument_Decode(t *testing.T) {
	t.Parallel()
	const text = `
kind: k
name: &name a
count: 0x10
share: 1
on: true
list:
- name: *name
- <<: &base {count: 2}
  name: b
free: {s3: {bucket: x, chunksize: 5242880, ratio: 0.5, secure: false}, none: }
`
	documents, problems := strictyaml.Parse([]byte(text))
	if len(problems) > 0 || len(documents) != 1 {
		t.Fatal(documents, problems)
	}
	var got target
	if problems := documents[0].Decode(&got); len(problems) > 0 {
		t.Fatal(problems)
	}
	on := true
	want := target{
		inlined: inlined{Kind: "k"}, Name: "a", Count: 16, Share: 1, On: &on,
		List: []target{{Name: "a"}, {Name: "b", Count: 2}},
		Free: map[string]map[string]any{
			"s3": {"bucket": "x", "chunksize": int64(5242880), "ratio": 0.5, "secure": false}, "none": nil,
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(target{})); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestDocument_DecodeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const all = "kind, name, count, share, on, list, free"
	for name, tt := range map[string]struct {
		text string
		want strictyaml.Problem
	}{
		"An unknown key":           {"name: a\nnmae: b", strictyaml.Problem{Line: 2, Field: "nmae", Reason: "unknown key: write one of " + all}},
		"A key in other case":      {"Name: a", strictyaml.Problem{Line: 1, Field: "Name", Reason: "unknown key: write one of " + all}},
		"A key that JSON skips":    {"Skipped: a", strictyaml.Problem{Line: 1, Field: "Skipped", Reason: "unknown key: write one of " + all}},
		"An unknown key in a list": {"list:\n- name: a\n- x: b", strictyaml.Problem{Line: 3, Field: "list[1].x", Reason: "unknown key: write one of " + all}},
		"One merged in":            {"list:\n- <<: {x: b}", strictyaml.Problem{Line: 2, Field: "list[0].x", Reason: "unknown key: write one of " + all}},
		"A key twice":              {"name: a\nname: b", strictyaml.Problem{Line: 2, Reason: `mapping key "name" already defined at line 1`}},
		"A number for a string":    {"name: 15", strictyaml.Problem{Line: 1, Field: "name", Reason: `15 is not a string: quote it, "15"`}},
		"A list for a string":      {"name: [a]", strictyaml.Problem{Line: 1, Field: "name", Reason: "write a string"}},
		"A string for a number":    {"count: many", strictyaml.Problem{Line: 1, Field: "count", Reason: "write a whole number"}},
		"A fraction":               {"count: 1.5", strictyaml.Problem{Line: 1, Field: "count", Reason: "write a whole number"}},
		"A yes for a bool":         {"on: yes", strictyaml.Problem{Line: 1, Field: "on", Reason: "write true or false"}},
		"A string for a share":     {"share: half", strictyaml.Problem{Line: 1, Field: "share", Reason: "write a number"}},
		"A string for a list":      {"list: a", strictyaml.Problem{Line: 1, Field: "list", Reason: "write a list, also for a single entry: [a]"}},
		"A string for a map":       {"free: a", strictyaml.Problem{Line: 1, Field: "free", Reason: "write a mapping"}},
		"A string in a map":        {"free: {s3: a}", strictyaml.Problem{Line: 1, Field: "free.s3", Reason: "write a mapping"}},
		"A number as a key":        {"free: {1: {}}", strictyaml.Problem{Line: 1, Field: "free.1", Reason: "the key is not a string: quote it"}},
		"A list for all":           {"- name: a", strictyaml.Problem{Line: 1, Reason: "write a mapping with any of " + all}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, got := decode(t, tt.text)
			if diff := cmp.Diff([]strictyaml.Problem{tt.want}, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDocument_DecodeRefusesAliasesThatExplode(t *testing.T) {
	t.Parallel()
	text := "name: a\nfree:\n  a: &a {x: [1,1,1,1,1,1,1,1,1,1]}\n"
	for previous := 'a'; previous < 'j'; previous++ {
		text += "  " + string(previous+1) + ": &" + string(previous+1) + " {x: [" +
			strings.TrimSuffix(strings.Repeat("*"+string(previous)+",", 10), ",") + "]}\n"
	}
	_, problems := decode(t, text)
	if len(problems) != 1 || !strings.Contains(problems[0].Reason, "excessive aliasing") {
		t.Errorf("problems = %v, want excessive aliasing", problems)
	}
}

func TestParse_Documents(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "# nothing": 0, "---\n---\n": 0, "a: 1": 1, "---\na: 1\n---\n# none\n---\nb: |\n  ---x\n": 2,
	} {
		documents, problems := strictyaml.Parse([]byte(text))
		if len(documents) != want || len(problems) > 0 {
			t.Errorf("Parse(%q) = %d documents, problems %v, want %d", text, len(documents), problems, want)
		}
	}
	documents, problems := strictyaml.Parse([]byte("a: 1\n---\nb: 'x"))
	if len(documents) != 1 || len(problems) != 1 || problems[0].Line != 3 {
		t.Errorf("Parse = %d documents, problems %v, want the first document and a problem in line 3", len(documents), problems)
	}
}

func TestParse_NamesTheLineThatBreaks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want int
	}{
		"Indented too little":       {"kind: k\nlist:\n  - name: a\n share: 1\n", 4},
		"Indented too much":         {"kind: k\nname: a\n   count: 1\nshare: 1\n", 3},
		"In the first line":         {"name: a: b\n", 1},
		"An open list":              {"kind: k\nlist: [a,\n  b]\nfree:\n  - [a, b\nname: c\n", 5},
		"An open string":            {"kind: k\nname: 'a\ncount: 1\n", 2},
		"A list among keys":         {"name: a\n- b\n", 2},
		"An anchor that is nowhere": {"name: a\nkind: *b\n", 2},
		"A tab":                     {"name: a\nfree:\n\tx: 1\n", 3},
		"In the second document":    {"name: a\n---\nname: b\n kind: k\n", 4},
		"A character of control":    {"name: a\nkind: \x01\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := strictyaml.Parse([]byte(tt.text))
			if len(problems) != 1 || problems[0].Line != tt.want || problems[0].Reason == "" {
				t.Errorf("problems %+v, want one in line %d", problems, tt.want)
			}
		})
	}
}

func TestDocument_FindsFields(t *testing.T) {
	t.Parallel()
	documents, _ := strictyaml.Parse([]byte("# comment\nname: a\nlist:\n- name: b\n- count: 1\n  name: c\n"))
	document := documents[0]
	for field, want := range map[string]int{
		"": 2, "name": 2, "list": 3, "list[0].name": 4, "list[1].name": 6, "list[1].missing": 5, "list[7]": 3, "missing.deep": 2,
	} {
		if got := document.LineOf(field); got != want {
			t.Errorf("LineOf(%s) = %d, want %d", field, got, want)
		}
	}
	for field, want := range map[string]string{"name": "a", "list[1].name": "c", "list": "", "none": ""} {
		if got := document.Scalar(field); got != want {
			t.Errorf("Scalar(%s) = %q, want %q", field, got, want)
		}
	}
}

func FuzzDocument_Decode(f *testing.F) {
	for _, seed := range []string{
		"name: a", "list:\n- name: a\n---\nfree: {a: {b: 1}}", "a: &a [*a]", "<<: {name: a}", "? [a]\n: b", "on: !!binary aGk=", "{", "\x00", "free: {.nan: .inf}",
		"%YAML 1.1\n---\nlist: [{}]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		documents, _ := strictyaml.Parse([]byte(text))
		for _, document := range documents {
			var got target
			for _, p := range document.Decode(&got) {
				if p.Reason == "" {
					t.Errorf("a problem without a reason: %+v", p)
				}
			}
			document.LineOf("list[0].name")
			document.Scalar("list[0].name")
		}
	})
}
