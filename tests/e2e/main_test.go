package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/larder-dev/larder/tests/node"
	"github.com/larder-dev/larder/tests/node/guest"
)

// shared is the node of all tests.
var (
	shared *node.Node
	guests *guest.Guest
)

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	if os.Getenv("LARDER_E2E") == "" {
		fmt.Println("SKIP: LARDER_E2E=1 (make e2e) runs the tests on a real node")
		return 0, nil
	}
	ctx := context.Background()
	shared, err = node.Start(ctx, node.Options{Log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }})
	if errors.Is(err, node.ErrCannotRun) {
		fmt.Printf("SKIP: NO TEST OF A REAL NODE HAS RUN: %v\n", err)
		return 0, nil
	}
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, stop(ctx)) }()
	dir, err := os.MkdirTemp("", "larder-e2e")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if guests, err = guest.Build(ctx, dir); err != nil {
		return 1, err
	}
	if code = m.Run(); code != 0 {
		err = dump(ctx)
	}
	return code, err
}

func dump(ctx context.Context) error {
	folder := os.Getenv("LARDER_E2E_DUMP")
	if folder == "" {
		folder = "e2e-dump"
	}
	fmt.Fprintln(os.Stderr, "what the node has to say is in", folder)
	return shared.Dump(ctx, folder)
}

// stop is the last test: after it, nothing of the node is left.
func stop(ctx context.Context) error {
	if err := shared.Stop(ctx); err != nil {
		return err
	}
	left, err := node.Left()
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("the node has left %q", left)
	}
	return err
}
