package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func measured(target *Target) Measure {
	m := Measure{What: "CPU", Unit: "s", Base: "nginx", Plot: true, Target: target}
	for _, v := range []float64{2, 9, 3} {
		m.Add("Larder", v)
	}
	for _, v := range []float64{4, 9, 4} {
		m.Add("nginx", v)
	}
	m.Note("other", "ends: <panic>")
	return m
}

func TestMeasure_Verdict(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		target Target
		want   string
	}{
		"A ratio that is low enough":      {Target{Ratio: true, Limit: 0.75}, "yes"},
		"A ratio that is too high":        {Target{Ratio: true, Limit: 0.7}, "no"},
		"A ratio that is high enough":     {Target{Ratio: true, AtLeast: true, Limit: 0.75}, "yes"},
		"A ratio that is too low":         {Target{Ratio: true, AtLeast: true, Limit: 0.8}, "no"},
		"A value that is low enough":      {Target{Limit: 3}, "yes"},
		"A value that is above its limit": {Target{Limit: 2.9}, "no"},
		"A floor that is above it too":    {Target{Limit: 2.9, Floor: "nginx"}, "no: out of reach of nginx too"},
		"A floor that was not measured":   {Target{Limit: 2.9, Floor: "other"}, "no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := measured(&tt.target).Verdict(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMeasure_WithoutItsBaseIsNotMeasured(t *testing.T) {
	t.Parallel()
	m := Measure{Base: "nginx", Target: &Target{Ratio: true, Limit: 1}}
	m.Add("Larder", 1)
	m.Note("nginx", "not installed")
	if got := m.Verdict(); got != "not measured" {
		t.Errorf("got %q, want %q", got, "not measured")
	}
}

func TestMeasure_RatiosAreTakenRoundByRound(t *testing.T) {
	t.Parallel()
	m := measured(nil)
	if diff := cmp.Diff([]float64{0.5, 1, 0.75}, m.Ratios(m.Series[0])); diff != "" {
		t.Errorf("ratios (-want +got):\n%s", diff)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]float64{
		"0.00": 0, "0.0053": 0.00529, "0.10": 0.0996, "1.00": 0.9999, "9.99": 9.99, "10.0": 9.996, "99.9": 99.94, "100": 99.96, "1,000": 999.6, "1,234,567": 1234567, "-1,000": -1000,
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestReport_Markdown(t *testing.T) {
	t.Parallel()
	r := Report{
		Command: "go run .", Rounds: 3, Machine: Machine{Cores: 2, Kernel: "Linux 6", Go: "go1"}, Notes: []string{"A note."},
		Rows: []Row{{Title: "Warm", How: "By reading.", Measures: []Measure{measured(&Target{Text: "at most 0.7 ×", Ratio: true, Limit: 0.7})}}},
	}
	var page strings.Builder
	if err := r.Markdown(&page, "plot.svg"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"cd hack/bench && go run .\n", "| machine | 2 cores, Linux 6 |\n", "A note.", "](plot.svg)", "### Warm\n\nBy reading.\n",
		"| Warm | CPU, s | at most 0.7 × | 0.75 (0.50–1.00) × | no | nginx 4.00 (4.00–9.00); other ends: <panic> |\n",
		"| | Larder | nginx | other |\n|---|---|---|---|\n| CPU, s | 3.00 (2.00–9.00) = 0.75 × | 4.00 (4.00–9.00) | ends: <panic> |\n",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.String())
		}
	}
}

func TestReport_PlotIsWellFormed(t *testing.T) {
	t.Parallel()
	r := Report{Rows: []Row{{Title: "A & B", Measures: []Measure{measured(&Target{Text: "< 1", Ratio: true, Limit: 1})}}}}
	var plot strings.Builder
	if err := r.Plot(&plot); err != nil {
		t.Fatal(err)
	}
	elements := map[string]int{}
	for decoder := xml.NewDecoder(strings.NewReader(plot.String())); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, plot.String())
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
		}
	}
	want := map[string]int{"svg": 1, "rect": 1 + 3, "text": 1 + 3*2, "line": 1}
	if diff := cmp.Diff(want, elements); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
}
