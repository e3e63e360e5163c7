package origin

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// User may pull some repositories. A User without a name is anonymous: what everyone may pull.
type User struct {
	Name, Password string
	Pulls          []string // patterns of path.Match; none means every repository
}

func (u User) mayPull(repository string) bool {
	return len(u.Pulls) == 0 || slices.ContainsFunc(u.Pulls, func(pattern string) bool {
		ok, err := path.Match(pattern, repository)
		return ok && err == nil
	})
}

type authScheme int

const (
	noAuth authScheme = iota
	bearer
	basic
)

const service = "origin.test"

// gatekeeper knows the users and the tokens. A nil one lets everybody in.
type gatekeeper struct {
	scheme  authScheme
	life    time.Duration
	realm   string // URL of the token server
	journal *journal

	mu     sync.Mutex
	users  []User
	tokens map[string]token
}

type token struct {
	pulls   []string
	expires time.Time
}

// SetUsers replaces the users of WithTokens or WithBasic, as when a password is changed or a permission withdrawn. Tokens that
// were issued stay good until they expire.
func (o *Origin) SetUsers(users ...User) {
	if o.keeper == nil {
		return
	}
	o.keeper.mu.Lock()
	defer o.keeper.mu.Unlock()
	o.keeper.users = users
}

// ExpireTokens makes every token that was issued expire now.
func (o *Origin) ExpireTokens() {
	if o.keeper == nil {
		return
	}
	o.keeper.mu.Lock()
	defer o.keeper.mu.Unlock()
	clear(o.keeper.tokens)
}

// challenge returns the WWW-Authenticate of the 401 that r deserves; it is empty if r may pass.
func (k *gatekeeper) challenge(r *http.Request, req *Request) string {
	if k == nil {
		return ""
	}
	if k.scheme == basic {
		if u, ok := k.user(r); ok && (req.Repository == "" || u.mayPull(req.Repository)) {
			return ""
		}
		return `Basic realm="` + service + `"`
	}
	problem := k.problem(r, req)
	if problem == "" {
		return ""
	}
	c := fmt.Sprintf(`Bearer realm=%q,service=%q`, k.realm, service)
	if req.Repository != "" {
		c += fmt.Sprintf(`,scope="repository:%s:pull"`, req.Repository)
	}
	if problem != "missing" {
		c += fmt.Sprintf(`,error=%q`, problem)
	}
	return c
}

// problem says what is wrong with r's token in the words of RFC 6750.
func (k *gatekeeper) problem(r *http.Request, req *Request) string {
	value, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "missing"
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	t, ok := k.tokens[value]
	switch {
	case !ok || time.Now().After(t.expires):
		return "invalid_token"
	case req.Repository != "" && !slices.Contains(t.pulls, req.Repository):
		return "insufficient_scope"
	default:
		return ""
	}
}

// user finds who asks; without credentials, the anonymous user if there is one.
func (k *gatekeeper) user(r *http.Request) (User, bool) {
	name, password, _ := r.BasicAuth()
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.users, func(u User) bool { return u.Name == name && u.Password == password })
	if i < 0 {
		return User{}, false
	}
	return k.users[i], true
}

// serveToken is the token server. Like Docker Hub's it refuses wrong credentials, and otherwise gives a token for as much of the
// scope as the user may have, which can be nothing.
func (k *gatekeeper) serveToken(w http.ResponseWriter, r *http.Request, _ *Request) {
	if r.Method != http.MethodGet {
		writeError(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "tokens are for GET")
		return
	}
	u, known := k.user(r)
	if _, _, named := r.BasicAuth(); named && !known {
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	var pulls []string
	for _, repository := range scopes(r) {
		if known && u.mayPull(repository) {
			pulls = append(pulls, repository)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	// The client's going is no error here.
	_ = json.NewEncoder(w).Encode(k.issue(pulls))
}

type tokenAnswer struct {
	Token       string    `json:"token"`
	AccessToken string    `json:"access_token"`
	ExpiresIn   int       `json:"expires_in"`
	IssuedAt    time.Time `json:"issued_at"`
}

func (k *gatekeeper) issue(pulls []string) tokenAnswer {
	value, now := rand.Text(), time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens[value] = token{pulls: pulls, expires: now.Add(k.life)}
	k.journal.issued()
	return tokenAnswer{Token: value, AccessToken: value, ExpiresIn: int(k.life.Seconds()), IssuedAt: now.UTC()}
}

// scopes returns the repositories that r asks to pull.
func scopes(r *http.Request) []string {
	var repositories []string
	for _, value := range r.URL.Query()["scope"] {
		for scope := range strings.FieldsSeq(value) {
			rest, ok := strings.CutPrefix(scope, "repository:")
			repository, actions, _ := cutLast(rest, ":")
			if ok && slices.Contains(strings.Split(actions, ","), "pull") {
				repositories = append(repositories, repository)
			}
		}
	}
	return repositories
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
