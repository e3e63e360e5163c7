package httpx

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// wireError is one error of the distribution spec's error body.
type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// WriteError answers with an error body of the distribution spec. code is one of the spec's, or one that a client takes for
// any other; detail is anything that has a JSON form, or nil. Headers that belong to the error (Retry-After) are set before.
func WriteError(w http.ResponseWriter, status int, code, message string, detail any) {
	body, err := errorBody(wireError{Code: code, Message: message, Detail: detail})
	if err != nil {
		body, _ = errorBody(wireError{Code: code, Message: message}) // strings always have a JSON form
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

func errorBody(e wireError) ([]byte, error) {
	return json.Marshal(struct {
		Errors []wireError `json:"errors"`
	}{[]wireError{e}})
}
