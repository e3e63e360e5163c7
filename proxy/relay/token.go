package relay

import (
	"os"
	"strings"
	"sync"
	"time"
)

// tokenAge is how old what was read of the token's file may be.
const tokenAge = 10 * time.Second

// token is the first line of a file, read anew now and then, and when the registry refuses it.
type token struct {
	file string // empty: there is none

	mu    sync.Mutex
	value string
	read  time.Time
}

// get returns the token; what was read last, where the file cannot be read.
func (t *token) get() string {
	if t.file == "" {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.read) > tokenAge {
		t.load()
	}
	return t.value
}

// renew reads the file, and says whether it holds another token than the one that was refused.
func (t *token) renew(refused string) bool {
	if t.file == "" {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.load()
	return t.value != refused
}

func (t *token) load() {
	t.read = time.Now()
	if text, err := os.ReadFile(t.file); err == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		t.value = strings.TrimSpace(line)
	}
}
