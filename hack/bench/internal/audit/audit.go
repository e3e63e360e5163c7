// Package audit reads what an API server's audit log says of requests. It judges none of them.
package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Policy has an API server log the requests of the named users, when they are answered, and nothing else.
func Policy(users ...string) string {
	return fmt.Sprintf(`apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: Metadata, users: ["%s"]}
- {level: None}
`, strings.Join(users, `", "`))
}

// Request is one that was answered.
type Request struct {
	User     string // of a service account the name alone
	Agent    string // the user agent
	Verb     string
	Resource string // with its subresource: "cachedimages/status"
	Name     string // of the object
	Code     int
}

// Write says whether the request was made to change something.
func (r Request) Write() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, r.Verb)
}

// Log is a log that is written while it is read.
type Log struct {
	path   string
	offset int64
}

// Open returns the log in a file, which need not exist yet.
func Open(path string) *Log { return &Log{path: path} }

// Next returns the requests that were answered since it was called last.
func (l *Log) Next() ([]Request, error) {
	file, err := os.Open(l.path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, l.offset, 1<<40))
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1] // the last line may still be being written
	l.offset += int64(len(text))
	var requests []Request
	for line := range bytes.Lines(text) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		requests = append(requests, e.request())
	}
	return requests, nil
}

// entry is what is read of a line of the log.
type entry struct {
	Verb      string
	UserAgent string
	User      struct{ Username string }
	ObjectRef struct {
		Resource, Subresource, Name string
	}
	ResponseStatus struct{ Code int }
}

func (e entry) request() Request {
	r := Request{
		User: e.User.Username[strings.LastIndexByte(e.User.Username, ':')+1:], Agent: e.UserAgent, Verb: e.Verb, Resource: e.ObjectRef.Resource,
		Name: e.ObjectRef.Name, Code: e.ResponseStatus.Code,
	}
	if e.ObjectRef.Subresource != "" {
		r.Resource += "/" + e.ObjectRef.Subresource
	}
	return r
}
