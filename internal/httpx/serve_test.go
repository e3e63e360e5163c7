package httpx

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func greet(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestServe_StopsAtOnceWithoutRequests(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(*fixture){
		"No connection":                     func(*fixture) {},
		"A connection that was never used":  func(f *fixture) { f.connect() },
		"Half a request":                    func(f *fixture) { f.connect().send("GET / HT") },
		"An idle connection":                func(f *fixture) { c := f.connect(); c.get(); c.wantAnswer(200, "hello") },
		"Half a second request":             func(f *fixture) { c := f.connect(); c.get(); c.wantAnswer(200, "hello"); c.send("GET /") },
		"A connection that its client left": func(f *fixture) { c := f.connect(); c.get(); _ = c.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := start(t, time.Minute, greet)
				use(f)
				if err := f.stopsAfter(0); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestServe_WaitsForRequestsNoLongerThanTheyTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const duration = 7 * time.Second
		f := start(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(duration):
				greet(w, r)
			case <-r.Context().Done():
			}
		})
		busy, unused := f.connect(), f.connect()
		busy.get()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			busy.wantAnswer(200, "hello")
		}()
		if err := f.stopsAfter(duration); err != nil {
			t.Error(err)
		}
		<-answered
		unused.closedAfter(0)
		busy.closedAfter(0)
	})
}

func TestServe_BreaksRequestsOffAfterTheDrain(t *testing.T) {
	t.Parallel()
	for name, drain := range map[string]time.Duration{"At once": 0, "After a while": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := start(t, drain, func(_ http.ResponseWriter, r *http.Request) {
					<-r.Context().Done()
					panic(http.ErrAbortHandler)
				})
				c := f.connect()
				c.get()
				if err := f.stopsAfter(drain); err != nil {
					t.Error(err)
				}
				c.closedAfter(0)
			})
		})
	}
}

func TestServe_SaysThatAHandlerIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := start(t, time.Second, func(http.ResponseWriter, *http.Request) { <-release })
		f.connect().get()
		if err := f.stopsAfter(time.Second + unwindTimeout); err == nil || !strings.Contains(err.Error(), "1 requests still run") {
			t.Errorf("Serve() = %v", err)
		}
		close(release)
	})
}

func TestServe_ReturnsTheListenersError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := start(t, time.Minute, greet)
		f.connect()
		_ = f.pipes.Close()
		if err := <-f.result; err == nil || errors.Is(err, http.ErrServerClosed) || !strings.Contains(err.Error(), "serving pipe") {
			t.Errorf("Serve() = %v", err)
		}
	})
}

func TestServe_P3_EveryWaitForAClientHasAnEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		send string
		want time.Duration
	}{
		"A connection that says nothing": {"", readHeaderTimeout},
		"Headers that do not end":        {"GET / HTTP/1.1\r\nHost:", readHeaderTimeout},
		"The next request":               {"GET / HTTP/1.1\r\nHost: larder\r\n\r\n", idleTimeout},
		"A body that nobody reads":       {"POST / HTTP/1.1\r\nHost: larder\r\nContent-Length: 9\r\n\r\n", bodyTimeout},
		"A body that somebody reads":     {"POST /read HTTP/1.1\r\nHost: larder\r\nContent-Length: 9\r\n\r\nhalf", bodyTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := start(t, 0, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/read" {
						_, _ = io.Copy(io.Discard, r.Body)
					}
					greet(w, r)
				})
				c := f.connect()
				if test.send != "" {
					c.send(test.send)
				}
				c.closedAfter(test.want)
				if err := f.stopsAfter(0); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestServe_P3_ABodyThatComesByteByByteEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := start(t, 0, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			greet(w, r)
		})
		c := f.connect()
		c.send("POST / HTTP/1.1\r\nHost: larder\r\nContent-Length: 100000\r\n\r\n")
		began := time.Now()
		for time.Since(began) < bodyTimeout-time.Second {
			time.Sleep(time.Second)
			c.send("x")
		}
		c.closedAfter(time.Second)
		if err := f.stopsAfter(0); err != nil {
			t.Error(err)
		}
	})
}

func TestServe_P3_NoTimeoutEndsAnAnswer(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"Without a body": "GET / HTTP/1.1\r\nHost: larder\r\n\r\n",
		"With a body":    "POST / HTTP/1.1\r\nHost: larder\r\nContent-Length: 4\r\n\r\nbody",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := start(t, 0, func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						t.Error(err)
					}
					select {
					case <-time.After(time.Hour):
						greet(w, r)
					case <-r.Context().Done():
						t.Error("the request was given up")
					}
				})
				c := f.connect()
				c.send(request)
				c.wantAnswer(200, "hello")
				if err := f.stopsAfter(0); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestServe_RefusesHugeHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := start(t, 0, greet)
		c := f.connect()
		go func() {
			_, _ = io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: larder\r\nX: "+strings.Repeat("x", 2*maxHeaderBytes)+"\r\n\r\n")
		}()
		if status, _, err := c.answer(); err != nil || status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answer: %d, %v", status, err)
		}
		_ = c.conn.Close()
		f.stop()
		if err := <-f.result; err != nil {
			t.Error(err)
		}
	})
}
