package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// ErrCannotRun is Start's error on a machine that lacks what a node needs.
var ErrCannotRun = errors.New("a node cannot run here")

// needed are programs that are not built, by the Debian package that has them.
var needed = map[string]string{"ip": "iproute2", "nft": "nftables", "runc": "runc", "umount": "mount", "sysctl": "procps"}

// check says what this machine lacks.
func check() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it takes root", ErrCannotRun)
	}
	for program, pkg := range needed {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: there is no %s in the PATH (apt-get install %s)", ErrCannotRun, program, pkg)
		}
	}
	systems, err := os.ReadFile("/proc/filesystems")
	if err != nil || !strings.Contains(string(systems), "\toverlay\n") {
		return fmt.Errorf("%w: the kernel has no overlay file system (modprobe overlay)", ErrCannotRun)
	}
	if out, err := exec.Command("nft", "list", "tables").CombinedOutput(); err != nil { //nolint:noctx // it is done at once
		return fmt.Errorf("%w: nft finds no nf_tables in the kernel: %s", ErrCannotRun, strings.TrimSpace(string(out)))
	}
	return nil
}
