package httpx

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// bodyTimeout is how long a client may take for a request's body as a whole. Nobody sends Larder a large one, and one that comes byte by byte
// would hold a connection for ever.
const bodyTimeout = 30 * time.Second

// boundBodies gives the wait for a request body an end, net/http's own included: it reads what a handler left before
// it answers. http.Server.ReadTimeout would break off answers that take longer.
func boundBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			body := &timedBody{ReadCloser: r.Body, conn: http.NewResponseController(w)}
			_ = body.conn.SetReadDeadline(time.Now().Add(bodyTimeout)) // what has no deadlines is no connection
			r = r.WithContext(r.Context())                             // the server looks at its own request's body when it ends the answer
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
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.conn.SetReadDeadline(time.Time{}) // the answer takes as long as it takes
	}
	return n, err
}
