package httpx

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// bodyTimeout is how long a client may leave the server waiting for more of a request's body.
const bodyTimeout = 30 * time.Second

// boundBodies gives every wait for a request body an end, net/http's own included: it reads what a handler left before
// it answers. http.Server.ReadTimeout would break off answers that take longer.
func boundBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			body := &timedBody{ReadCloser: r.Body, conn: http.NewResponseController(w)}
			body.wait(bodyTimeout)
			r = r.WithContext(r.Context()) // the server looks at its own request's body when it ends the answer
			r.Body = body
		}
		next.ServeHTTP(w, r)
	})
}

type timedBody struct {
	io.ReadCloser
	conn *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	b.wait(bodyTimeout)
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.wait(0)
	}
	return n, err
}

// wait lets the connection's reads wait no longer than timeout from now; 0: for ever.
func (b *timedBody) wait(timeout time.Duration) {
	var deadline time.Time
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	_ = b.conn.SetReadDeadline(deadline) // what has no deadlines is no connection
}
