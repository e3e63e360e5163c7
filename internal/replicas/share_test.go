package replicas

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/go-logr/logr"
)

// shares are the shares of replicas that see each other as DNS has them.
func shares(t *testing.T, self []string, dns []string) []*Share {
	t.Helper()
	lookup := func(context.Context, string) ([]string, error) { return dns, nil }
	var all []*Share
	for _, ip := range self {
		s := NewShare(ip+":7439", []string{"registry:7439"}, lookup, logr.Discard())
		s.members.Refresh(t.Context())
		all = append(all, s)
	}
	return all
}

func owners(all []*Share, key string) (n int) {
	for _, s := range all {
		if s.Owns(key) {
			n++
		}
	}
	return n
}

func TestShare_EachRepositoryHasOneOwner(t *testing.T) {
	t.Parallel()
	ips := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
	all := shares(t, ips, ips)
	for i := range 1000 {
		key := fmt.Sprintf("docker.io/library/app-%d", i)
		if n := owners(all, key); n != 1 {
			t.Fatalf("%d replicas own %s", n, key)
		}
	}
}

func TestShare_OneThatDNSHasNotYetOnlyRepeatsWork(t *testing.T) {
	t.Parallel()
	all := append(shares(t, []string{"10.0.0.1", "10.0.0.2"}, []string{"10.0.0.1", "10.0.0.2"}),
		shares(t, []string{"10.0.0.3"}, []string{"10.0.0.1", "10.0.0.2"})...)
	twice := 0
	for i := range 1000 {
		switch n := owners(all, fmt.Sprint(i)); n {
		case 0:
			t.Fatalf("nobody owns %d", i)
		case 2:
			twice++
		}
	}
	if twice == 0 {
		t.Error("the new replica owns nothing")
	}
}

func TestShare_TellsThatItChanged(t *testing.T) {
	t.Parallel()
	dns := []string{"10.0.0.1"}
	failing := false
	lookup := func(context.Context, string) ([]string, error) {
		if failing {
			return nil, errors.New("no DNS")
		}
		return dns, nil
	}
	s := NewShare("10.0.0.1:7439", []string{"registry:7439"}, lookup, logr.Discard())
	if s.Owns("a") {
		t.Error("it owns something before it knows the others")
	}
	for _, step := range []struct {
		dns     []string
		failing bool
		want    uint64
	}{
		{[]string{"10.0.0.1"}, false, 1}, {[]string{"10.0.0.1"}, false, 1}, {[]string{"10.0.0.2", "10.0.0.1"}, false, 2},
		{nil, true, 2}, {nil, false, 3}, {[]string{"10.0.0.1"}, false, 3},
	} {
		dns, failing = step.dns, step.failing
		s.members.Refresh(t.Context())
		if got := s.Generation(); got != step.want {
			t.Errorf("after %+v: generation %d, want %d", step, got, step.want)
		}
	}
	if !s.Owns("a") {
		t.Error("alone, it does not own everything")
	}
}

func TestOwner_IsTheSameAsTheRankOfAProxy(t *testing.T) {
	t.Parallel()
	if got := Owner("docker.io/library/nginx", nil); got != "" {
		t.Errorf("got %q of none", got)
	}
	addresses := []string{"10.0.0.1:7439", "[fd00::1]:7439"}
	owner := Owner("docker.io/library/nginx", addresses)
	for _, address := range addresses {
		if Score(address, "docker.io/library/nginx") > Score(owner, "docker.io/library/nginx") {
			t.Errorf("%s is owned by %s", address, owner)
		}
	}
}
