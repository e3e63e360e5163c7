package store

import (
	"os"
	"testing"
)

// heapForBlob is what a sweep may take for each blob: twice 16 bytes while keys are sorted, and what the collector lets lie.
const heapForBlob = 160

// TestSweep_P2_MemoryGrowsByAFewBytesForEachBlob has nothing to tell of a store so small that it is quick.
func TestSweep_P2_MemoryGrowsByAFewBytesForEachBlob(t *testing.T) {
	if os.Getenv("LARDER_SOAK") == "" {
		t.Skip("it writes a large store: LARDER_SOAK=1 runs it")
	}
	const few, many = 20_000, 120_000
	heap := func(blobs int) uint64 {
		s, _ := openStore(t, Options{})
		fill(t, s, blobs)
		peak, stop := watchHeap()
		report := sweepNow(t, s, SweepOptions{})
		stop()
		if freed := report.Freed.Blobs; freed != blobs/2 {
			t.Errorf("%d of %d blobs were freed, want the half", freed, blobs)
		}
		t.Logf("%d blobs: a heap of %d MiB at most", blobs, peak.Load()>>20)
		return peak.Load()
	}
	small := heap(few)
	if large := heap(many); large > small+(many-few)*heapForBlob {
		t.Errorf("the heap grew from %d bytes to %d, by more than %d for each blob", small, large, heapForBlob)
	}
}
