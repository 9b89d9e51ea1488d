package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
)

// guarded starts a registry that asks for u and p, with the module "app:1.0.0",
// and returns a client that knows them.
func guarded(t *testing.T, auth testregistry.Auth, p *Pool) (*testregistry.Server, *Client) {
	t.Helper()
	server := start(t, "referrers", testregistry.Options{Auth: auth})
	image, err := module.New(module.Options{Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := module.Push(t.Context(), server.Host()+"/app:1.0.0", image, remote.WithAuth(&authn.Basic{Username: "u", Password: "p"})); err != nil {
		t.Fatal(err)
	}
	server.Reset()
	return server, p.Client(repository(t, "oci://"+server.Host()+"/app", true), login(t, server, "u", "p"))
}

func login(t *testing.T, server *testregistry.Server, user, password string) Credentials {
	t.Helper()
	config := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, server.Host(), user, password)
	c, err := ParseDockerConfig([]byte(config), repository(t, "oci://"+server.Host()+"/app", true))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func resolve(t *testing.T, c *Client) error {
	t.Helper()
	_, err := c.Resolve(t.Context(), selector(t, "1.0.0", "", "", ""))
	return err
}

func wantCounts(t *testing.T, server *testregistry.Server, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, server.Counts()); diff != "" {
		t.Errorf("requests (-expected +found):\n%s", diff)
	}
	server.Reset()
}

func TestSessionIsReused(t *testing.T) {
	tests := map[string]struct {
		auth  testregistry.Auth
		first map[string]int
	}{
		"open":  {nil, map[string]int{"GET ping": 1, "HEAD manifests": 1}},
		"basic": {testregistry.BasicAuth{User: "u", Password: "p"}, map[string]int{"GET ping": 1, "HEAD manifests": 1}},
		"token": {&testregistry.TokenAuth{User: "u", Password: "p"}, map[string]int{"GET ping": 1, "GET token": 1, "HEAD manifests": 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			server, c := guarded(t, tt.auth, p)
			if err := resolve(t, c); err != nil {
				t.Fatal(err)
			}
			wantCounts(t, server, tt.first)
			// Another Client of the same Pool, as each reconcile makes one.
			for range 3 {
				if err := resolve(t, p.Client(c.repo, c.credentials)); err != nil {
					t.Fatal(err)
				}
			}
			wantCounts(t, server, map[string]int{"HEAD manifests": 3})
		})
	}
}

// What another repository, other credentials or another protocol negotiated is
// not used: a token that one Secret paid for does not serve another.
func TestSessionIsNotShared(t *testing.T) {
	p := newPool(t)
	server, c := guarded(t, &testregistry.TokenAuth{User: "u", Password: "p"}, p)
	if err := resolve(t, c); err != nil {
		t.Fatal(err)
	}
	server.Reset()
	wantReason(t, resolve(t, p.Client(c.repo, Credentials{})), AuthenticationFailed)
	wantReason(t, resolve(t, p.Client(c.repo, login(t, server, "u", "wrong"))), AuthenticationFailed)
	wantCounts(t, server, map[string]int{"GET ping": 2, "GET token": 2})
	wantReason(t, resolve(t, p.Client(repository(t, "oci://"+server.Host()+"/other", true), c.credentials)), RepositoryNotFound)
	wantCounts(t, server, map[string]int{"GET ping": 1, "GET token": 1, "HEAD manifests": 1, "GET tags": 1})
}

// A token that expired is replaced within the attempt.
func TestExpiredTokenIsReplaced(t *testing.T) {
	auth := &testregistry.TokenAuth{User: "u", Password: "p"}
	server, c := guarded(t, auth, newPool(t))
	if err := resolve(t, c); err != nil {
		t.Fatal(err)
	}
	server.Reset()
	auth.Expire()
	if err := resolve(t, c); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, server, map[string]int{"HEAD manifests": 2, "GET token": 1})
	if err := resolve(t, c); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, server, map[string]int{"HEAD manifests": 1})
}

// After 401 and 403 the next attempt begins anew; after other errors it does
// not.
func TestSessionIsForgotten(t *testing.T) {
	tests := map[int]struct {
		reason    Reason
		forgotten bool
	}{
		http.StatusUnauthorized:        {AuthenticationFailed, true},
		http.StatusForbidden:           {AuthenticationFailed, true},
		http.StatusTooManyRequests:     {RateLimited, false},
		http.StatusInternalServerError: {RegistryUnavailable, false},
	}
	for code, tt := range tests {
		t.Run(http.StatusText(code), func(t *testing.T) {
			server, c := guarded(t, testregistry.BasicAuth{User: "u", Password: "p"}, newPool(t))
			if err := resolve(t, c); err != nil {
				t.Fatal(err)
			}
			server.Intercept(testregistry.On(http.MethodHead, testregistry.KindManifests, testregistry.Respond(code, nil, nil)))
			wantReason(t, resolve(t, c), tt.reason)
			server.Intercept(nil)
			server.Reset()
			if err := resolve(t, c); err != nil {
				t.Fatal(err)
			}
			if pinged := server.Counts()["GET ping"] == 1; pinged != tt.forgotten {
				t.Errorf("expected a new session: %t, found %t", tt.forgotten, pinged)
			}
		})
	}
}

// A registry that asked for nothing when it was pinged, and asks for a token
// now.
func TestRegistryThatBeginsToAsk(t *testing.T) {
	server, c := guarded(t, &testregistry.TokenAuth{User: "u", Password: "p"}, newPool(t))
	server.Intercept(testregistry.On(http.MethodGet, testregistry.KindPing, testregistry.Respond(http.StatusOK, nil, nil)))
	wantReason(t, resolve(t, c), AuthenticationFailed)
	server.Intercept(nil)
	if err := resolve(t, c); err != nil {
		t.Errorf("expected the next attempt to succeed: %v", err)
	}
}

func TestFailuresOfAuthentication(t *testing.T) {
	tests := map[string]struct {
		kind   string
		code   int
		reason Reason
	}{
		"the ping is rate limited": {testregistry.KindPing, 429, RateLimited},
		"the ping is forbidden":    {testregistry.KindPing, 403, AuthenticationFailed},
		"the ping fails":           {testregistry.KindPing, 500, RegistryUnavailable},
		"the ping is not found":    {testregistry.KindPing, 404, RegistryUnavailable},
		"no token, unauthorized":   {testregistry.KindToken, 401, AuthenticationFailed},
		"no token, forbidden":      {testregistry.KindToken, 403, AuthenticationFailed},
		"no token, rate limited":   {testregistry.KindToken, 429, RateLimited},
		"no token, unavailable":    {testregistry.KindToken, 503, RegistryUnavailable},
		"no token, and no JSON":    {testregistry.KindToken, 200, RegistryUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server, c := guarded(t, &testregistry.TokenAuth{User: "u", Password: "p"}, newPool(t))
			server.Intercept(testregistry.On(http.MethodGet, tt.kind, testregistry.Respond(tt.code, nil, []byte("<html>secret-of-the-body"))))
			err := resolve(t, c)
			wantReason(t, err, tt.reason)
			if err != nil && strings.Contains(err.Error(), "secret-of-the-body") {
				t.Errorf("the body of an answer is in %q", err)
			}
			server.Intercept(nil)
			if err := resolve(t, c); err != nil {
				t.Errorf("expected the next attempt to succeed: %v", err)
			}
		})
	}
}

// headersSeen is a server that keeps what it was asked for.
type headersSeen struct {
	mu       sync.Mutex
	requests []*http.Request
	answer   func(http.ResponseWriter, *http.Request)
}

func (s *headersSeen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Clone(context.Background()))
	s.mu.Unlock()
	if s.answer != nil {
		s.answer(w, r)
	}
}

func (s *headersSeen) all() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Blobs may come from another host, which must not see the credentials.
func TestBlobsFromAnotherHost(t *testing.T) {
	content := []byte("content")
	digest := digestOf(content)
	for name, auth := range map[string]testregistry.Auth{
		"basic": testregistry.BasicAuth{User: "u", Password: "p"},
		"token": &testregistry.TokenAuth{User: "u", Password: "p"},
	} {
		t.Run(name, func(t *testing.T) {
			blobs := &headersSeen{answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }}
			address := serve(t, listenTCP(t), blobs.ServeHTTP)
			server, c := guarded(t, auth, newPool(t))
			server.Intercept(testregistry.On(http.MethodGet, testregistry.KindBlobs, testregistry.Respond(http.StatusTemporaryRedirect,
				http.Header{"Location": {"http://" + address + "/elsewhere?signature=x"}}, nil)))
			found, err := c.smallBlob(t.Context(), digest, int64(len(content)))
			if err != nil || string(found) != string(content) {
				t.Fatalf("expected the blob, found %q, %v", found, err)
			}
			requests := blobs.all()
			if len(requests) != 1 {
				t.Fatalf("expected one request to the other host, found %d", len(requests))
			}
			for _, header := range []string{"Authorization", "Cookie"} {
				if found := requests[0].Header.Get(header); found != "" {
					t.Errorf("the other host was sent %s: %q", header, found)
				}
			}
		})
	}
}

// The other host may ask for credentials of its own; it does not get ours.
func TestAnotherHostThatAsks(t *testing.T) {
	for name, challenge := range map[string]string{
		"basic": "Basic realm=x",
		"token": `Bearer realm="http://%s/token",service="x",scope="y"`,
	} {
		t.Run(name, func(t *testing.T) {
			var address string
			blobs := &headersSeen{}
			blobs.answer = func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					_, _ = fmt.Fprint(w, `{"token":"theirs"}`)
					return
				}
				w.Header().Set("WWW-Authenticate", strings.ReplaceAll(challenge, "%s", address))
				w.WriteHeader(http.StatusUnauthorized)
			}
			address = serve(t, listenTCP(t), blobs.ServeHTTP)
			server, c := guarded(t, &testregistry.TokenAuth{User: "u", Password: "p"}, newPool(t))
			server.Intercept(testregistry.On(http.MethodGet, testregistry.KindBlobs, testregistry.Respond(http.StatusTemporaryRedirect,
				http.Header{"Location": {"http://" + address + "/elsewhere"}}, nil)))
			_, err := c.smallBlob(t.Context(), digestOf(nil), 0)
			wantReason(t, err, AuthenticationFailed)
			ours := base64.StdEncoding.EncodeToString([]byte("u:p"))
			for _, r := range blobs.all() {
				if found := r.Header.Get("Authorization"); strings.Contains(found, ours) || (found != "" && found != "Bearer theirs") {
					t.Errorf("the other host was sent %q", found)
				}
			}
		})
	}
}

func TestRedirectsWithoutEnd(t *testing.T) {
	server, c := guarded(t, nil, newPool(t))
	server.Intercept(testregistry.On(http.MethodHead, testregistry.KindManifests, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	}))
	err := resolve(t, c)
	wantReason(t, err, RegistryUnavailable)
	if n := server.Counts()["HEAD manifests"]; n != maxRedirects+1 {
		t.Errorf("expected %d requests, found %d", maxRedirects+1, n)
	}
	if err == nil || !strings.Contains(err.Error(), "redirected more than 5 times") {
		t.Errorf("found %v", err)
	}
}

func TestReferrersMemory(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := NewPool(Options{UserAgent: "assay-test", Now: func() time.Time { return now }, DialAllow: loopback})
	t.Cleanup(p.Close)
	server := start(t, "distribution", testregistry.Options{})
	digest := push(t, server, "app", "1.0.0", module.Options{})
	other := push(t, server, "other", "1.0.0", module.Options{})
	server.Reset()
	look := func(repo, digest string, want int) {
		t.Helper()
		if _, err := client(t, p, server, repo).Signatures(t.Context(), digest); err != nil {
			t.Fatal(err)
		}
		if found := server.Counts()["GET referrers"]; found != want {
			t.Errorf("%s at %s: expected %d requests for referrers, found %d", repo, now, want, found)
		}
		server.Reset()
	}
	look("app", digest, 1)
	look("app", digest, 0)
	look("other", other, 1) // What one repository lacks, another may have.
	look("other", other, 0)
	now = now.Add(referrersMemory - time.Second)
	look("app", digest, 0)
	now = now.Add(time.Second)
	look("app", digest, 1)
	look("app", digest, 0)

	// Another registry is asked for itself.
	second := start(t, "referrers", testregistry.Options{})
	digest = push(t, second, "app", "1.0.0", module.Options{})
	second.Reset()
	for range 2 {
		if _, err := client(t, p, second, "app").Signatures(t.Context(), digest); err != nil {
			t.Fatal(err)
		}
	}
	if found := second.Counts()["GET referrers"]; found != 2 {
		t.Errorf("expected the API that is there to be asked twice, found %d", found)
	}
}

// When to come again is kept, wherever the registry says it: at the ping, the
// token server, when a token is to be replaced, or at a request.
func TestRetryAfterWherever(t *testing.T) {
	header := http.Header{"Retry-After": {"7"}}
	for name, tt := range map[string]struct {
		method, kind string
		code         int
		later        bool // after a session was made
		want         time.Duration
	}{
		"ping, 429":               {http.MethodGet, testregistry.KindPing, 429, false, 7 * time.Second},
		"ping, 503":               {http.MethodGet, testregistry.KindPing, 503, false, 7 * time.Second},
		"ping, 500":               {http.MethodGet, testregistry.KindPing, 500, false, 0},
		"token, 429":              {http.MethodGet, testregistry.KindToken, 429, false, 7 * time.Second},
		"token, 503":              {http.MethodGet, testregistry.KindToken, 503, false, 7 * time.Second},
		"token to be replaced":    {http.MethodGet, testregistry.KindToken, 429, true, 7 * time.Second},
		"manifest, 429":           {http.MethodHead, testregistry.KindManifests, 429, false, 7 * time.Second},
		"manifest, unauthorized":  {http.MethodHead, testregistry.KindManifests, 403, false, 0},
		"with a body beyond most": {http.MethodGet, testregistry.KindPing, 429, false, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			auth := &testregistry.TokenAuth{User: "u", Password: "p"}
			server, c := guarded(t, auth, newPool(t))
			if tt.later {
				if err := resolve(t, c); err != nil {
					t.Fatal(err)
				}
				auth.Expire()
			}
			body := []byte("x")
			if name == "with a body beyond most" {
				body = make([]byte, 1<<20)
			}
			server.Intercept(testregistry.On(tt.method, tt.kind, testregistry.Respond(tt.code, header, body)))
			err := resolve(t, c)
			var e *Error
			if !errors.As(err, &e) || e.RetryAfter != tt.want {
				t.Errorf("expected Retry-After %s, found %+v", tt.want, e)
			}
			if tt.code == 429 && e != nil && e.Reason != RateLimited {
				t.Errorf("expected %s, found %s", RateLimited, e.Reason)
			}
		})
	}
}
