package server

import "testing"

func TestReachable(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:7439": "localhost:7439",
		"[::]:7439":      "localhost:7439",
		"0.0.0.0:80":     "localhost:80",
		"10.0.0.5:7439":  "10.0.0.5:7439",
	} {
		if got := Reachable(listen); got != want {
			t.Errorf("Reachable(%q) = %q, want %q", listen, got, want)
		}
	}
}
