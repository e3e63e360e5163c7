// Package leak finds goroutines that tests leave behind, as goleak does, but gives those that were told to end the time to: goleak waits for
// less than half a second, in which a busy machine may not get to run them.
package leak

import (
	"time"

	"go.uber.org/goleak"
)

// patience is how long what was told to end may take.
const patience = 30 * time.Second

// Main runs the tests of a package and exits; it fails where a goroutine goes on.
func Main(m goleak.TestingM, options ...goleak.Option) {
	goleak.VerifyTestMain(patient{m, options}, options...)
}

// patient are tests after which their goroutines may end.
type patient struct {
	goleak.TestingM
	options []goleak.Option
}

func (p patient) Run() int {
	code := p.TestingM.Run()
	for deadline := time.Now().Add(patience); code == 0 && time.Now().Before(deadline); {
		if goleak.Find(p.options...) == nil { // takes its time where there are any
			break
		}
	}
	return code
}
