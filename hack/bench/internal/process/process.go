// Package process runs the measured servers as processes of their own, and reads from /proc what they use. It knows nothing of
// what they serve.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Process is a running server. It does not outlive the benchmark.
type Process struct {
	Log  string // file with what the process writes
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // set before done is closed
}

// Start starts cmd with its output in the file log.
func Start(cmd *exec.Cmd, log string) (*Process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of a process: %w", err)
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	p := &Process{Log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// Done is closed when the process has ended by itself or by Stop.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err tells how the process ended, which it must have.
func (p *Process) Err() error { return p.err }

// Stop ends the process, gently, and waits until it is gone: nginx's workers end with their master.
func (p *Process) Stop() error {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.cmd.Path, err)
	}
	<-p.done
	return nil
}

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it can only have ended already
	<-p.done
}
