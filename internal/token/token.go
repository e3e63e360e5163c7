// Package token is the secret that larder-proxy shows to larder registry: a file that both mount from one Secret. Its lines are tokens; the
// first is the one to show, then the others where that is refused, and any of them is accepted: a token is replaced by adding the new one
// first and removing the old one later, whichever process sees the file first. It never logs what it holds, and no error has any of it.
package token

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// lookEvery is how soon a change of the file is seen at the latest, by who asks.
const lookEvery = time.Second

// File is a file of tokens, read again when it changes. It is safe for concurrent use.
type File struct {
	path string

	mu     sync.RWMutex
	lines  [][]byte
	looked time.Time
}

// Bearer is the token that a request shows; empty: it shows none.
func Bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return token
}

// New returns a token that nobody can guess.
func New() string { return rand.Text() }

// Open reads a file of tokens, which has one at least.
func Open(path string) (*File, error) {
	lines, err := read(path)
	if err != nil {
		return nil, err
	}
	return &File{path: path, lines: lines, looked: time.Now()}, nil
}

// First is the token to show.
func (f *File) First() string { return string(f.current()[0]) }

// Holds says whether the file has the token. How long that takes tells nothing of those that it has.
func (f *File) Holds(token string) bool {
	given := sha256.Sum256([]byte(token))
	found := 0
	for _, line := range f.current() {
		known := sha256.Sum256(line)
		found |= subtle.ConstantTimeCompare(given[:], known[:])
	}
	return found == 1
}

// Others reads the file at once, and returns the tokens to show where one was refused: who refused it may have seen another version of
// the file.
func (f *File) Others(refused string) []string {
	var others []string
	for _, line := range f.look() {
		if string(line) != refused {
			others = append(others, string(line))
		}
	}
	return others
}

// current returns the lines as the file had them not long ago.
func (f *File) current() [][]byte {
	f.mu.RLock()
	lines, looked := f.lines, f.looked
	f.mu.RUnlock()
	if time.Since(looked) < lookEvery {
		return lines
	}
	return f.look()
}

// look reads the file. While it cannot be read, or is empty, the lines that it had last count: a volume that is being replaced must not
// lock everybody out.
func (f *File) look() [][]byte {
	fresh, err := read(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = time.Now()
	if err == nil {
		f.lines = fresh
	}
	return f.lines
}

func read(path string) ([][]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the token: %w", err)
	}
	lines := bytes.Fields(content)
	if len(lines) == 0 {
		return nil, fmt.Errorf("reading the token: %s is empty: write a token, one a line", path)
	}
	return lines, nil
}

// Any says whether accept is true of any of the file's tokens. For what does not show a token, but signs with it.
func (f *File) Any(accept func(token []byte) bool) bool {
	found := false
	for _, line := range f.current() {
		found = accept(line) || found
	}
	return found
}
