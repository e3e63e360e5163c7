package relay

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func replicasAt(t *testing.T, addresses ...string) *Replicas {
	t.Helper()
	lookup := func(context.Context, string) ([]string, error) { return addresses, nil }
	r := NewReplicas([]string{"registry:7439"}, lookup, prometheus.NewGauge(prometheus.GaugeOpts{}), logr.Discard())
	r.Refresh(t.Context())
	return r
}

func addresses(order []*replica) []string {
	var list []string
	for _, r := range order {
		list = append(list, r.address)
	}
	return list
}

func TestReplicas_ChoiceIsStableAndSpreads(t *testing.T) {
	t.Parallel()
	three, other := replicasAt(t, "10.0.0.1", "10.0.0.2", "10.0.0.3"), replicasAt(t, "10.0.0.3", "10.0.0.1", "10.0.0.2")
	two := replicasAt(t, "10.0.0.1", "10.0.0.3")
	owned := map[string]int{}
	for i := range 3000 {
		key := fmt.Sprintf("docker.io/library/app-%d", i)
		order := addresses(three.ranked(key, time.Now()))
		if diff := cmp.Diff(order, addresses(other.ranked(key, time.Now()))); diff != "" {
			t.Fatalf("two proxies disagree about %s:\n%s", key, diff)
		}
		owned[order[0]]++
		if now := two.ranked(key, time.Now())[0].address; order[0] != "10.0.0.2:7439" && now != order[0] {
			t.Fatalf("%s moved from %s to %s, though its owner stayed", key, order[0], now)
		}
	}
	for address, n := range owned {
		if n < 800 || n > 1200 {
			t.Errorf("%s owns %d of 3000 repositories", address, n)
		}
	}
}

func TestReplicas_OneThatFailedComesLastForAWhile(t *testing.T) {
	t.Parallel()
	r, now := replicasAt(t, "10.0.0.1", "10.0.0.2"), time.Now()
	order := r.ranked("a", now)
	order[0].failed(now)
	if got := r.ranked("a", now); got[0] != order[1] || got[1] != order[0] {
		t.Errorf("at once: %v", addresses(got))
	}
	if got := r.ranked("a", now.Add(avoidFor)); got[0] != order[0] {
		t.Errorf("later: %v", addresses(got))
	}
}
