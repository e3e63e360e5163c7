// Package crash kills and cuts off larder serve in the middle of its work, and looks at what is left (rule P1): no completed answer
// ever holds a wrong byte, no image that was reported as finished is lost, nothing temporary stays, and it starts at once.
//
// The quick part runs with all other tests. LARDER_SOAK=1 makes it the long one; LARDER_SEED=<number> repeats a run that failed, whose
// log names its seed. What a seed cannot repeat is the scheduling of processes.
package crash
