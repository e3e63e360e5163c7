package leak

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// tests is a package's tests.
type tests func() int

func (t tests) Run() int { return t() }

func TestPatient_WaitsForWhatWasToldToEnd(t *testing.T) {
	end, ended := make(chan struct{}), make(chan struct{})
	p := patient{tests(func() int {
		go func() {
			defer close(ended)
			<-end
		}()
		time.AfterFunc(2*time.Second, func() { close(end) })
		return 0
	}), []goleak.Option{goleak.IgnoreCurrent()}}
	if code := p.Run(); code != 0 {
		t.Errorf("it returned %d, want what the tests did", code)
	}
	select {
	case <-ended:
	default:
		t.Error("it did not wait for a goroutine that was about to end")
	}
}
