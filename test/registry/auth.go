package registry

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Auth is what a registry asks of its clients: [BasicAuth] or [TokenAuth].
type Auth interface {
	guard(next http.Handler) http.Handler
}

// guard puts a in front of next. A nil a lets everybody in.
func guard(a Auth, next http.Handler) http.Handler {
	if a == nil {
		return next
	}
	return a.guard(next)
}

// refuse answers 401, with the error format of the distribution specification.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
func refuse(w http.ResponseWriter, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`))
}

// BasicAuth asks for a user and a password with every request (RFC 7617).
type BasicAuth struct {
	User     string
	Password string
}

func (a BasicAuth) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.match(r) {
			refuse(w, `Basic realm="test registry"`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// match tells whether r carries this user and password.
func (a BasicAuth) match(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok &&
		subtle.ConstantTimeCompare([]byte(user), []byte(a.User)) == 1 &&
		subtle.ConstantTimeCompare([]byte(password), []byte(a.Password)) == 1
}

// tokenPath is the token endpoint, on the same host as the registry:
// go-containerregistry refuses any other loopback address as a realm.
const tokenPath = "/token"

// tokenLifetime is what the endpoint says, in seconds. The registry itself
// forgets a token only when [TokenAuth.Expire] is called.
const tokenLifetime = 300

// TokenAuth asks for a bearer token, which an endpoint on the same server
// gives out for the scopes that it is asked for.
// https://distribution.github.io/distribution/spec/auth/token/
//
// A token is good for its scopes only: one that was fetched to pull from a
// repository neither pushes to it nor pulls from another.
type TokenAuth struct {
	// User and Password are what the token endpoint asks for. Without a user,
	// anybody gets a token, as from a public registry.
	User     string
	Password string

	mu     sync.Mutex
	issued map[string][]scope // by token
}

// scope is one thing that a token allows.
type scope struct {
	repository string
	action     string // "pull", "push" or "delete"
}

// Expire makes the registry forget every token it gave out: the next request
// of each client is refused until it fetches a new one.
func (a *TokenAuth) Expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issued = nil
}

func (a *TokenAuth) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == tokenPath {
			a.serveToken(w, r)
			return
		}
		need := neededScopes(r)
		if !a.allows(r, need) {
			refuse(w, tokenChallenge(r, need))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// neededScopes lists what a request needs. Nothing, for the requests that
// belong to no repository: any token will do.
func neededScopes(r *http.Request) []scope {
	_, repository := route(r.URL.Path)
	if repository == "" {
		return nil
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return []scope{{repository, "pull"}}
	case http.MethodDelete:
		return []scope{{repository, "delete"}}
	default:
		return []scope{{repository, "pull"}, {repository, "push"}}
	}
}

// allows tells whether r carries a token of ours that has the scopes.
func (a *TokenAuth) allows(r *http.Request, need []scope) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	granted, ok := a.issued[token]
	return ok && !slices.ContainsFunc(need, func(s scope) bool { return !slices.Contains(granted, s) })
}

// tokenChallenge says where a token for these scopes is to be had.
func tokenChallenge(r *http.Request, need []scope) string {
	challenge := fmt.Sprintf(`Bearer realm="http://%s%s",service="%s"`, r.Host, tokenPath, r.Host)
	if len(need) == 0 {
		return challenge
	}
	actions := make([]string, len(need))
	for i, s := range need {
		actions[i] = s.action
	}
	return challenge + fmt.Sprintf(`,scope="repository:%s:%s"`, need[0].repository, strings.Join(actions, ","))
}

// serveToken gives out a token for the scopes in the query.
func (a *TokenAuth) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		// Clients then take the older GET, which is the only one here.
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	if a.User != "" && !(BasicAuth{a.User, a.Password}).match(r) {
		refuse(w, `Basic realm="test registry"`)
		return
	}
	token := a.issue(parseScopes(r.URL.Query()["scope"]))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": tokenLifetime})
}

// issue makes a token that is good for the scopes.
func (a *TokenAuth) issue(granted []scope) string {
	token := rand.Text()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.issued == nil {
		a.issued = map[string][]scope{}
	}
	a.issued[token] = granted
	return token
}

// parseScopes reads "repository:<name>:<action>,<action>", of which each value
// may hold several with spaces between them. Other types of scope are ignored.
func parseScopes(values []string) []scope {
	var scopes []scope
	for _, field := range strings.Fields(strings.Join(values, " ")) {
		parts := strings.Split(field, ":")
		if len(parts) != 3 || parts[0] != "repository" {
			continue
		}
		for action := range strings.SplitSeq(parts[2], ",") {
			scopes = append(scopes, scope{parts[1], action})
		}
	}
	return scopes
}
