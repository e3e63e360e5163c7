package e2e_test

import (
	"fmt"
	"testing"

	"github.com/larder-dev/larder/tests/origin"
)

// report is what a run has to tell: what was pulled, from where, and how many bytes the origins sent.
type report struct {
	lines   []string
	origins []watched
}

type watched struct {
	host string
	*origin.Origin
}

func (r *report) watch(host string, o *origin.Origin) {
	r.origins = append(r.origins, watched{host, o})
}

func (r *report) note(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *report) print(t *testing.T) {
	for _, line := range r.lines {
		t.Log(line)
	}
	for _, o := range r.origins {
		var bytes int64
		stats := o.Stats()
		for _, n := range stats.Bytes {
			bytes += n
		}
		t.Logf("%s sent %d bytes of %d blobs in all", o.host, bytes, len(stats.Bytes))
	}
}
