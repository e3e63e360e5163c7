package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// content is what the headers of an answer say about its body.
type content struct {
	mediaType []string
	digest    digest.Digest // empty for what has no address of its own: lists
	etag      string        // quoted; empty for none
	size      int64         // < 0: not known
}

func addressed(mediaType string, dgst digest.Digest, size int64) content {
	return content{mediaType: []string{mediaType}, digest: dgst, etag: quote(dgst), size: size}
}

// listed is content that we put together ourselves.
func listed(mediaType []string, body []byte) content {
	return content{mediaType: mediaType, etag: quote(digest.FromBytes(body)), size: int64(len(body))}
}

func quote(dgst digest.Digest) string { return `"` + string(dgst) + `"` }

// describe sets the headers, the same for GET, HEAD and 304. Their keys are written in canonical form, since Set would allocate
// a slice for each.
func (c content) describe(header http.Header) {
	values := &[3]string{string(c.digest), c.etag}
	header["Content-Type"] = c.mediaType
	header["Accept-Ranges"] = inBytes
	if c.digest != "" {
		header["Docker-Content-Digest"] = values[0:1:1]
	}
	if c.etag != "" {
		header["Etag"] = values[1:2:2]
	}
	if c.size >= 0 {
		values[2] = strconv.FormatInt(c.size, 10)
		header["Content-Length"] = values[2:3:3]
	}
}

// settled answers what needs no body, 304 and HEAD, and says whether it did.
func settled(w http.ResponseWriter, r *http.Request, c content) bool {
	status := http.StatusOK
	switch {
	case notModified(r.Header, c.etag):
		status = http.StatusNotModified
	case r.Method != http.MethodHead:
		return false
	}
	c.describe(w.Header())
	w.WriteHeader(status)
	return true
}

// writeBody answers a GET with content that lies in memory, or the part of it that was asked for.
func writeBody(w http.ResponseWriter, r *http.Request, c content, body []byte) {
	rng := requestedRange(r.Header, c.etag)
	start, end, err := rng.Resolve(c.size)
	if err != nil {
		writeUnsatisfiable(w, c.size)
		return
	}
	c.describe(w.Header())
	status := http.StatusOK
	if rng.Partial {
		status = http.StatusPartialContent
		describePart(w.Header(), start, end-start, c.size)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body[start:end]) // the client is gone: nobody is left to tell
}

// notModified evaluates If-None-Match. An entity tag cannot contain a quote, so finding ours with its quotes is finding it in
// the list, weak or strong.
func notModified(header http.Header, etag string) bool {
	if etag == "" {
		return false
	}
	for _, value := range header["If-None-Match"] {
		if strings.TrimSpace(value) == "*" || strings.Contains(value, etag) {
			return true
		}
	}
	return false
}
