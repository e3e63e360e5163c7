package origin

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// New starts an origin for a test and closes it at its end. Complaints are errors of the test.
func New(t testing.TB, opts ...Option) *Origin {
	t.Helper()
	fail := func(c *config) {
		c.complained = func(message string) { t.Errorf("origin: %s", message) }
	}
	o, err := Start(append([]Option{WithDir(t.TempDir()), fail}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Errorf("closing origin: %v", err)
		}
	})
	return o
}

// Push is PushContent for tests.
func (o *Origin) Push(t testing.TB, reference string, content remote.Taggable) Image {
	t.Helper()
	img, err := o.PushContent(t.Context(), reference, content)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// Delete is Remove for tests.
func (o *Origin) Delete(t testing.TB, reference string) {
	t.Helper()
	if err := o.Remove(t.Context(), reference); err != nil {
		t.Fatal(err)
	}
}

// Await waits until n requests that match have arrived, and ends the test if they do not.
func (o *Origin) Await(t testing.TB, m Match, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := o.WaitFor(ctx, m, n); err != nil {
		t.Fatalf("waiting for %d requests, of which %d came: %v", n, o.Count(m), err)
	}
}

// Await waits until the fault has struck n requests, and ends the test if it does not.
func (f *Fault) Await(t testing.TB, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.Wait(ctx, n); err != nil {
		t.Fatalf("waiting for a fault to strike %d times, of which %d came: %v", n, f.Hits(), err)
	}
}
