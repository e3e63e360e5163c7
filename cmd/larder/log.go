package main

import (
	"fmt"

	"github.com/go-logr/logr"
	"github.com/larder-dev/larder/internal/logging"
	"github.com/spf13/cobra"
)

// openLog returns the log of a process that runs on: its lines are written many at a time. What waits is written by stop.
func openLog(cmd *cobra.Command, level, format string) (log logr.Logger, stop func(), err error) {
	out, stop := logging.Buffered(cmd.ErrOrStderr())
	log, err = logging.New(level, format, out)
	if err != nil {
		stop()
		return logr.Logger{}, nil, fmt.Errorf("starting the log: %w", err)
	}
	return log, stop, nil
}
