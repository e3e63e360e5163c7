package hooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/larder-dev/larder/internal/token"
)

// Secrets are those of the registries. Each file is named as a registry, and each of its lines is a secret that is accepted; it is read
// again when it changes.
type Secrets map[string]*token.File

// OpenSecrets reads the files of a folder. A registry without one has no hook.
func OpenSecrets(dir string) (Secrets, error) {
	secrets := Secrets{}
	for _, source := range Sources() {
		file, err := token.Open(filepath.Join(dir, source))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			secrets[source] = file
		}
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("%s holds no secret: make a file there that is named %s", dir, strings.Join(Sources(), ", or "))
	}
	return secrets, nil
}

// proven says whether a request has a registry's secret; given, whether it tried to show one.
func (s Secrets) proven(source string, r *http.Request, body []byte) (proven, given bool) {
	file := s[source]
	if source == "github" { // it signs the body
		signature, ok := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
		return ok && file.Any(func(secret []byte) bool { return signed(secret, body, signature) }), ok
	}
	shown := shown(r)
	return shown != "" && file.Holds(shown), shown != ""
}

func signed(secret, body []byte, signature string) bool {
	got, err := hex.DecodeString(signature)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), got)
}

// shown is the secret that a request shows: in the header Authorization, as it stands there, as a bearer token or as a password; or, for
// registries that send no header, in the query.
func shown(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	if header := r.Header.Get("Authorization"); header != "" {
		if bearer, ok := strings.CutPrefix(header, "Bearer "); ok {
			return bearer
		}
		return header
	}
	return r.URL.Query().Get("secret")
}
