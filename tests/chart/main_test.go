package chart

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	root      = "../.."
	folder    = root + "/helm/larder"
	release   = "larder"
	namespace = "larder-system"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	helm   string // the path of Helm
)

func TestMain(m *testing.M) {
	flag.Parse()
	path, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, "building Helm:", err)
		os.Exit(1)
	}
	helm = path
	os.Exit(m.Run())
}

// build returns the path of the Helm that go.tools.mod pins, which go tool keeps in its cache.
func build() (string, error) {
	cmd := exec.CommandContext(context.Background(), "go", "tool", "-modfile=go.tools.mod", "-n", "helm")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
