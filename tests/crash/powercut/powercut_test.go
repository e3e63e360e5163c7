package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mounted is a disk that a test writes to and cuts off.
type mounted struct {
	folder string
	say    *io.PipeWriter
	heard  *bufio.Scanner
}

func mount(t *testing.T, seed uint64) *mounted {
	t.Helper()
	m := &mounted{folder: t.TempDir()}
	in, say := io.Pipe()
	hear, out := io.Pipe()
	m.say, m.heard = say, bufio.NewScanner(hear)
	ended := make(chan error, 1)
	go func() {
		err := run([]string{m.folder}, rand.New(rand.NewPCG(seed, 0)), in, out)
		_ = out.Close()
		ended <- err
	}()
	if !m.heard.Scan() {
		err := <-ended
		if errors.Is(err, errMount) {
			t.Skipf("NOT TESTED: this machine cannot mount FUSE: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = say.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return m
}

// do gives a command and waits for its answer.
func (m *mounted) do(t *testing.T, line, answer string) {
	t.Helper()
	if _, err := fmt.Fprintln(m.say, line); err != nil {
		t.Fatal(err)
	}
	if !m.heard.Scan() || m.heard.Text() != answer {
		t.Fatalf("%s: got %q, want %q", line, m.heard.Text(), answer)
	}
}

func (m *mounted) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.folder, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m *mounted) sync(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(filepath.Join(m.folder, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func (m *mounted) rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(m.folder, from), filepath.Join(m.folder, to)); err != nil {
		t.Fatal(err)
	}
}

func (m *mounted) mkdir(t *testing.T, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(m.folder, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

// content is what a file holds, or "none".
func (m *mounted) content(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(m.folder, name))
	if errors.Is(err, os.ErrNotExist) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestPowercut_OnlyWhatWasSyncedIsLeft(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do   func(*testing.T, *mounted)
		file string
		want string
	}{
		"A file that nobody synced": {func(t *testing.T, m *mounted) { m.write(t, "f", "new") }, "f", "none"},
		"A file without its folder": {func(t *testing.T, m *mounted) { m.write(t, "f", "new"); m.sync(t, "f") }, "f", "none"},
		"A folder without its file": {func(t *testing.T, m *mounted) { m.write(t, "f", "new"); m.sync(t, ".") }, "f", ""},
		"Both":                      {func(t *testing.T, m *mounted) { m.write(t, "f", "new"); m.sync(t, "f"); m.sync(t, ".") }, "f", "new"},
		"A change after the sync": {func(t *testing.T, m *mounted) {
			m.write(t, "f", "old")
			m.sync(t, "f")
			m.sync(t, ".")
			m.write(t, "f", "new")
		}, "f", "old"},
		"A folder whose own entry is not synced": {func(t *testing.T, m *mounted) {
			m.mkdir(t, "d")
			m.write(t, "d/f", "new")
			m.sync(t, "d/f")
			m.sync(t, "d")
		}, "d/f", "none"},
		"A rename that is not synced": {func(t *testing.T, m *mounted) {
			m.write(t, "f", "old")
			m.sync(t, "f")
			m.sync(t, ".")
			m.write(t, "g", "new")
			m.sync(t, "g")
			m.rename(t, "g", "f")
		}, "f", "old"},
		"A rename into a synced folder": {func(t *testing.T, m *mounted) {
			m.write(t, "g", "new")
			m.sync(t, "g")
			m.rename(t, "g", "f")
			m.sync(t, ".")
		}, "f", "new"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mount(t, 1)
			tt.do(t, m)
			m.do(t, "drop", "mounted")
			if got := m.content(t, tt.file); got != tt.want {
				t.Errorf("%s holds %q, want %q", tt.file, got, tt.want)
			}
		})
	}
}

func TestPowercut_TearKeepsAnyPartOfTheRest(t *testing.T) {
	t.Parallel()
	old, fresh := strings.Repeat("o", 4*block), strings.Repeat("n", 4*block)
	found := map[string]bool{}
	for seed := range uint64(64) {
		m := mount(t, seed)
		m.write(t, "f", old)
		m.sync(t, "f")
		m.sync(t, ".")
		m.write(t, "f", fresh)
		m.do(t, "tear", "mounted")
		switch got := m.content(t, "f"); got {
		case old:
			found["old"] = true
		case fresh:
			found["new"] = true
		default:
			found["torn"] = true
			if len(got) != len(fresh) {
				t.Errorf("a torn file has %d bytes, want %d", len(got), len(fresh))
			}
		}
	}
	if len(found) != 3 {
		t.Errorf("got the outcomes %v, want old, new and torn", found)
	}
}

func TestPowercut_ArmFailsTheCallAndAllAfterIt(t *testing.T) {
	t.Parallel()
	m := mount(t, 1)
	m.write(t, "f", "old")
	m.sync(t, "f")
	m.sync(t, ".")
	m.do(t, "arm 1", "armed")
	if err := os.Mkdir(filepath.Join(m.folder, "d"), 0o700); err == nil {
		t.Fatal("a call went well after the power was out")
	}
	if !m.heard.Scan() || m.heard.Text() != "out" {
		t.Fatalf("got %q, want out", m.heard.Text())
	}
	if _, err := os.ReadFile(filepath.Join(m.folder, "f")); err == nil {
		t.Error("a file was read while the power was out")
	}
	m.do(t, "drop", "mounted")
	if got := m.content(t, "f"); got != "old" {
		t.Errorf("f holds %q, want old", got)
	}
}
