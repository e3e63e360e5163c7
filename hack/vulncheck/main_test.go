package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, test := range map[string]struct {
		db      string
		command []string
		said    string
		wantErr string
	}{
		"Nothing found":               {db: answering(t, http.StatusOK), command: []string{"echo", "ran"}, said: "ran -db"},
		"Vulnerabilities found":       {db: answering(t, http.StatusOK), command: []string{"sh", "-c", "exit 3"}, wantErr: "exit status 3"},
		"No database":                 {db: closed.URL, command: []string{"echo", "ran"}, said: "*** NOT CHECKED"},
		"A proxy without the way":     {db: answering(t, http.StatusBadGateway), command: []string{"echo", "ran"}, said: "*** NOT CHECKED"},
		"Not a database":              {db: answering(t, http.StatusNotFound), command: []string{"echo", "ran"}, wantErr: "404 Not Found"},
		"An address that is none":     {db: "vuln", command: []string{"echo", "ran"}, wantErr: "write an address"},
		"No command":                  {db: closed.URL, wantErr: "say what runs govulncheck"},
		"A command that is not there": {db: answering(t, http.StatusOK), command: []string{"/absent"}, wantErr: "running govulncheck"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := run(t.Context(), append([]string{"-db", test.db}, test.command...), &out, &out)
			if got := errorText(err); test.wantErr == "" && got != "" || !strings.Contains(got, test.wantErr) {
				t.Errorf("run returns %q, want %q", got, test.wantErr)
			}
			if said := out.String(); !strings.Contains(said, test.said) {
				t.Errorf("it says %q, want %q in it", said, test.said)
			}
			if ran := strings.Contains(out.String(), "ran -db"); ran != (test.said == "ran -db") {
				t.Errorf("govulncheck ran: %v", ran)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// answering returns the address of a database that answers everything with a status.
func answering(t *testing.T, status int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(server.Close)
	return server.URL
}
