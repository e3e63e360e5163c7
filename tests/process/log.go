package process

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"sync"
)

// log collects what a process says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) follow(r io.Reader, listening chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l.mu.Lock()
		fmt.Fprintln(&l.text, lines.Text())
		l.mu.Unlock()
		if addresses.MatchString(lines.Text()) {
			listening <- lines.Text()
		}
	}
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
