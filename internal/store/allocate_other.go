//go:build !linux

package store

import (
	"os"

	"golang.org/x/sys/unix"
)

func allocate(*os.File, int64) error { return unix.EOPNOTSUPP }
