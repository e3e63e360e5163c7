package scale

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/larder-dev/larder/hack/bench/internal/process"
	"github.com/larder-dev/larder/hack/bench/internal/server"
)

const (
	poll     = 50 * time.Millisecond
	patience = time.Minute // for a process to listen
)

// larder is one of the two processes, which is started and ended as often as one likes.
type larder struct {
	name    string // its user's
	binary  string
	args    []string
	dir     string
	listens bool   // on a port for pulls
	address string // of that, host:port
	*process.Process
}

// start starts the process, and waits until it answers probes.
func (l *larder) start(ctx context.Context) error {
	health, err := server.FreeAddress(ctx)
	if err != nil {
		return err
	}
	args := append(slices.Clone(l.args), "--metrics-listen", health)
	if l.listens {
		if l.address, err = server.FreeAddress(ctx); err != nil {
			return err
		}
		args = append(args, "--listen", l.address)
	}
	cmd := exec.CommandContext(ctx, l.binary, args...)
	cmd.Dir = l.dir
	if l.Process, err = process.Start(cmd, filepath.Join(l.dir, "output.log")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !answers(ctx, "http://"+health+"/readyz") {
		select {
		case <-l.Done():
			return fmt.Errorf("%s ended: %w\n%s", l.name, l.Err(), l.last())
		default:
		}
		if err := pause(ctx, poll/10); err != nil {
			return fmt.Errorf("%s does not get ready: %w", l.name, err)
		}
	}
	return nil
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill ends the process if it runs.
func (l *larder) kill() {
	if l.Process != nil {
		l.Kill()
	}
}

// last returns the end of what the process wrote.
func (l *larder) last() string {
	text, err := os.ReadFile(filepath.Join(l.dir, "output.log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "")
}
