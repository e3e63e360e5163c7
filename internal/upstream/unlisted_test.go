package upstream

import (
	"fmt"
	"testing"

	"github.com/larder-dev/larder/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestClient_OriginsThatClientsMakeUpHaveABound(t *testing.T) {
	t.Parallel()
	m := metrics.New(prometheus.NewRegistry())
	c := newClientWith(t, Options{Metrics: m})
	for i := range maxUnlisted + 100 {
		_, err := c.Manifest(t.Context(), app(fmt.Sprintf("127.0.0.1:%d", 2000+i)), "latest") // refused: nothing is connected to
		_ = wantError(t, err, Refused)
	}
	if n := testutil.CollectAndCount(m.OriginRequests); n != maxUnlisted {
		t.Errorf("%d series are counted, want no more than those of %d origins", n, maxUnlisted)
	}
}
