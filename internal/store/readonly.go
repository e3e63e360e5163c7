package store

import "context"

// readOnly is the writer of a store that is only read.
type readOnly struct{}

func (readOnly) put(context.Context, string, []byte) error { return ErrReadOnly }
func (readOnly) settle(string) error                       { return ErrReadOnly }
func (readOnly) begin(string, string) placement            { return nil } // no spool is created
