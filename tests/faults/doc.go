// Package faults tests what Larder makes of an origin, a disk and clients that misbehave: the real binary, a real registry that
// injects faults, real sockets. Each test holds three things against the rules: what the client got, what the store holds
// afterwards, and that the next pull works. docs/reliability.md names the tests for operators.
package faults
