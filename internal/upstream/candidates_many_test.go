package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	testorigin "github.com/larder-dev/larder/tests/origin"
)

func TestCandidates_TriesHaveAnEnd(t *testing.T) {
	t.Parallel()
	c, p, calls := hiding(t, denying(3*maxCandidates))
	p.fill("", userNames(3*maxCandidates)...)
	must(t, pull(t, c))
	if got := calls(); len(got) != maxCandidates+1 || got[maxCandidates] != "" {
		t.Errorf("%d tries, want %d and then anonymous", len(got), maxCandidates)
	}
}

func userNames(n int) []string {
	names := make([]string, 0, n)
	for i := range n {
		names = append(names, fmt.Sprint("user", i))
	}
	return names
}

func denying(n int) map[string]int {
	statuses := map[string]int{"": http.StatusOK}
	for _, name := range userNames(n) {
		statuses[name] = http.StatusForbidden
	}
	return statuses
}

func TestCandidates_ManyAtOnce(t *testing.T) {
	t.Parallel()
	o, c, p := private(t, testorigin.User{Name: "two", Password: "good"})
	p.fill("", "one:bad", "two:good")
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if i%8 == 0 {
				o.ExpireTokens()
				p.fill(fmt.Sprint(i), "one:bad", "two:good")
			}
			if err := pull(t, c); err != nil {
				// A token that expires between its issue and its use twice in a row is a denial.
				if e := (*Error)(nil); !errors.As(err, &e) || e.Reason != Denied {
					t.Error(err)
				}
			}
			c.Credential(app("hub.test"))
			c.CredentialSet(app("hub.test"))
		})
	}
	wg.Wait()
	must(t, pull(t, c))
}
