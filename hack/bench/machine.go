package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/larder-dev/larder/hack/bench/internal/report"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

// machine tells what a figure depends on, and nothing that names the machine.
func machine(ctx context.Context) (report.Machine, error) {
	version, err := server.Version(ctx)
	if err != nil {
		return report.Machine{}, err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return report.Machine{}, fmt.Errorf("reading the kernel's version: %w", err)
	}
	release, _, _ := strings.Cut(unix.ByteSliceToString(name.Release[:]), "-")
	return report.Machine{
		CPU: field("/proc/cpuinfo", "model name"), Kernel: "Linux " + release, Go: runtime.Version(),
		Cores: runtime.NumCPU(), LoadBefore: firstWord("/proc/loadavg"), Distribution: version,
	}, nil
}

// field returns the first value of a key in a file of /proc; empty where there is none.
func field(file, key string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func firstWord(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	word, _, _ := strings.Cut(string(text), " ")
	return word
}
