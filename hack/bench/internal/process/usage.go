package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc on every architecture that matters here (USER_HZ).
const tick = 10 * time.Millisecond

// CPU returns the user and system time that the process and its children have used, in steps of 10 ms.
func (p *Process) CPU() (time.Duration, error) {
	var total time.Duration
	err := p.each(func(pid int) error {
		used, err := cpuOf(pid)
		total += used
		return err
	})
	return total, err
}

// Anon returns the anonymous resident memory of the process and its children, in bytes.
func (p *Process) Anon() (int64, error) { return p.memory("RssAnon") }

// RSS returns the resident memory of the process and its children with what they map of files, in bytes.
func (p *Process) RSS() (int64, error) { return p.memory("VmRSS") }

func (p *Process) memory(kind string) (int64, error) {
	var total int64
	err := p.each(func(pid int) error {
		used, err := memoryOf(pid, kind)
		total += used
		return err
	})
	return total, err
}

func (p *Process) each(do func(pid int) error) error {
	pid := p.cmd.Process.Pid
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return fmt.Errorf("reading the children of a process: %w", err)
	}
	if err := do(pid); err != nil {
		return err
	}
	for child := range strings.FieldsSeq(string(list)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return fmt.Errorf("reading the children of a process: %w", err)
		}
		if err := do(pid); err != nil {
			return err
		}
	}
	return nil
}

// cpuOf reads utime and stime, the 14th and 15th field. The second, the name, may hold spaces and parentheses.
func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading CPU time: %w", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading CPU time: %q is too short", stat)
	}
	var total time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading CPU time: %w", err)
		}
		total += time.Duration(ticks) * tick
	}
	return total, nil
}

func memoryOf(pid int, kind string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, kind+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("reading memory: process %d has no %s", pid, kind)
}
