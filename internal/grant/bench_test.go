package grant

import (
	"testing"
	"time"

	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/upstream"
)

// BenchmarkAdmit is what a request costs whose node was admitted a moment ago.
func BenchmarkAdmit(b *testing.B) {
	repo := imageref.Repository{Host: "reg.example", Path: "team/app"}
	k := &Keeper{verdicts: newVerdicts(time.Now), o: Options{Rule: func(imageref.Repository) Rule { return Rule{} }}}
	k.verdicts.add(repo, k.verdicts.begin(repo), "node-1", verdict{until: time.Now().Add(time.Hour)})
	r := Request{Node: "node-1", Repo: repo, Probe: upstream.Probe{Reference: "v1"}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := k.Admit(b.Context(), r); err != nil {
				b.Error(err)
			}
		}
	})
}
