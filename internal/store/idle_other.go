//go:build !linux

package store

import "io"

// Idle does nothing: there is no such priority here.
func Idle() {}

func forgetCached(io.Reader) {}
