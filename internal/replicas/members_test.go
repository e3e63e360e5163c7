package replicas

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestMembers_KeepTheLastGoodAddresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var hosts atomic.Pointer[[]string] // nil: DNS fails
		var missing atomic.Bool            // DNS says that there is none
		hosts.Store(&[]string{"10.0.0.1"})
		lookup := func(context.Context, string) ([]string, error) {
			if missing.Load() {
				return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
			}
			if found := hosts.Load(); found != nil {
				return *found, nil
			}
			return nil, errors.New("no DNS")
		}
		r := NewMembers([]string{"registry:7439"}, lookup, nil, logr.Discard())
		go r.Run(t.Context())
		look := func(want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, r.Addresses(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("replicas (-want +got):\n%s", diff)
			}
		}
		synctest.Wait()
		look("10.0.0.1:7439")
		hosts.Store(nil)
		time.Sleep(2 * refreshEvery)
		look("10.0.0.1:7439")
		hosts.Store(&[]string{"10.0.0.2"})
		r.LookAgain()
		time.Sleep(2 * refreshPause)
		look("10.0.0.2:7439")
		missing.Store(true)
		r.LookAgain()
		time.Sleep(2 * refreshPause)
		look()
	})
}
