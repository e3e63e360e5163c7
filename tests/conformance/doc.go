// Package conformance holds larder serve to the distribution spec v1.1 from outside: every read-only case of the spec's own
// conformance suite, under the suite's names, and what that suite cannot see. The real binary runs with a real registry as its
// origin, in four states: cold, warm, with the origin down, and with the origin answering 429.
//
// What may fail in the last two is what asks for something never seen, and stands by name in [neverSeen]. TestSuite runs
// the suite's own binary in the same states where the environment variable CONFORMANCE names it.
package conformance
