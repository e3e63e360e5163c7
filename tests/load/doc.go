// Package load puts more clients on larder serve than it will ever see, slow ones and such that hang up among them, and looks at what it
// costs while they are there and at what is left when they are gone (rules P2, P3).
//
// The quick part runs with all other tests; LARDER_SOAK=1 makes it the long one: 2,000 connections at a time, and the minute after
// which a client that takes nothing is dropped. Bounds are absolute or relative to the same process before, never to a clock.
package load
