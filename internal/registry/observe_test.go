package registry

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// told is what a pool told of.
type told struct {
	mu        sync.Mutex
	exchanges []Exchange
	received  map[string]int
}

// listenTo has a pool tell of what goes out.
func listenTo(p *Pool) *told {
	seen := &told{received: map[string]int{}}
	p.onExchange = func(ctx context.Context, e Exchange) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		if ctx == nil || e.Took < 0 || e.Began.IsZero() || time.Since(e.Began) > time.Hour {
			panic(fmt.Sprintf("expected a context and times, found %+v", e))
		}
		seen.exchanges = append(seen.exchanges, e)
	}
	p.onReceived = func(host string, n int) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		seen.received[host] += n
	}
	return seen
}

// counts says how many exchanges there were, as "GET blob 200 at 127.0.0.1:1".
func (s *told) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]int{}
	for _, e := range s.exchanges {
		found[fmt.Sprintf("%s %s %d at %s", e.Method, e.Kind, e.Code, e.Host)]++
	}
	return found
}

func (s *told) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exchanges, s.received = nil, map[string]int{}
}

func (s *told) want(t *testing.T, host string, want map[string]int) {
	t.Helper()
	at := map[string]int{}
	for what, n := range want {
		at[what+" at "+host] = n
	}
	if diff := cmp.Diff(at, s.counts()); diff != "" {
		t.Errorf("what went out (-expected +told):\n%s", diff)
	}
}

// Every request that reached the registry was told of, as what it is, from the
// first ping to the last layer.
func TestExchangesOfAWholeWay(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			server := start(t, kind, testregistry.Options{PageSize: 1})
			const repo = "manifests/tags" // Named as what a request is for.
			push(t, server, repo, "0.9.0", module.Options{Version: "0.9.0"})
			digest := push(t, server, repo, "1.0.0", module.Options{Version: "1.0.0"})
			if err := signing.SignBundle(t.Context(), server.Host()+"/"+repo+"@"+digest, newKey(t)); err != nil {
				t.Fatal(err)
			}
			p := newPool(t)
			seen := listenTo(p)
			server.Reset()
			wholeWay(t, client(t, p, server, repo))
			want, found := map[string]int{}, map[string]int{}
			for what, n := range server.Counts() {
				want[strings.TrimSuffix(what, "s")] = n
			}
			for _, e := range seen.exchanges {
				found[e.Method+" "+strings.TrimSuffix(string(e.Kind), "s")]++
				if e.Host != server.Host() {
					t.Errorf("expected the host %s, found %s", server.Host(), e.Host)
				}
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("what reached the registry, and what was told of (-registry +told):\n%s", diff)
			}
			if want["GET tag"] < 2 || len(want) < 6 {
				t.Errorf("expected requests of all kinds, found %v", want)
			}
		})
	}
}

// wholeWay resolves a range, looks for signatures, and pulls.
func wholeWay(t *testing.T, c *Client) {
	t.Helper()
	revision, err := c.Resolve(t.Context(), selector(t, "*", "", "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Signatures(t.Context(), revision.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Fetch(t.Context(), verified(t, revision.Digest), revision, t.TempDir(), 1<<20); err != nil {
		t.Fatal(err)
	}
}

// A token that has expired costs what it costs: the request that is refused, the
// token, and the request again.
func TestExchangesOfARetry(t *testing.T) {
	auth := &testregistry.TokenAuth{User: "u", Password: "p"}
	p := newPool(t)
	seen := listenTo(p)
	server, c := guarded(t, auth, p)
	for _, want := range []map[string]int{
		{"GET ping 401": 1, "GET token 200": 1, "HEAD manifest 200": 1},
		{"HEAD manifest 200": 1},
		{"HEAD manifest 401": 1, "GET token 200": 1, "HEAD manifest 200": 1},
	} {
		if want["HEAD manifest 401"] > 0 {
			auth.Expire()
		}
		seen.forget()
		if err := resolve(t, c); err != nil {
			t.Fatal(err)
		}
		seen.want(t, server.Host(), want)
	}
}

func headOf(t *testing.T, c *Client) error {
	t.Helper()
	_, err := c.Resolve(t.Context(), selector(t, "", "latest", "", ""))
	return err
}

// What another host sends instead of the registry, and what its token server
// does, is the registry's.
func TestExchangesElsewhere(t *testing.T) {
	content := []byte("content")
	digest := digestOf(content)
	blobs := &headersSeen{answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }}
	address := serve(t, listenTCP(t), blobs.ServeHTTP)
	p := newPool(t)
	seen := listenTo(p)
	server, c := guarded(t, &testregistry.TokenAuth{User: "u", Password: "p"}, p)
	server.Intercept(testregistry.On(http.MethodGet, testregistry.KindBlobs, testregistry.Respond(http.StatusTemporaryRedirect,
		http.Header{"Location": {"http://" + address + "/token"}}, nil)))
	if _, err := c.smallBlob(t.Context(), digest, int64(len(content))); err != nil {
		t.Fatal(err)
	}
	seen.want(t, server.Host(), map[string]int{"GET ping 401": 1, "GET token 200": 1, "GET blob 307": 1, "GET blob 200": 1})
	received := maps.Clone(seen.received)
	if received[server.Host()] < len(content) || len(received) != 1 {
		t.Errorf("expected the content to be counted as the registry's, found %v", received)
	}
}

// Codes are told as they are, and what nobody answered as 0.
func TestExchangesThatFail(t *testing.T) {
	server := start(t, "referrers", testregistry.Options{})
	p := newPool(t)
	seen := listenTo(p)
	c := client(t, p, server, "app")
	wantReason(t, headOf(t, c), RepositoryNotFound) // And the session is there.
	for _, code := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable, 599} {
		seen.forget()
		server.Intercept(testregistry.Respond(code, nil, nil))
		if headOf(t, c) == nil {
			t.Errorf("%d: expected an error", code)
		}
		seen.want(t, server.Host(), map[string]int{fmt.Sprintf("HEAD manifest %d", code): 1})
	}
	seen.forget()
	server.Intercept(testregistry.On(http.MethodHead, testregistry.KindManifests, testregistry.Abort))
	wantReason(t, headOf(t, c), RegistryUnavailable)
	for _, e := range seen.exchanges {
		if e.Code != 0 || e.Kind != KindManifest {
			t.Errorf("expected a manifest without an answer, found %+v", e)
		}
	}
	if len(seen.exchanges) == 0 {
		t.Error("expected to be told of what was not answered")
	}
}

// What is refused before it is sent went nowhere.
func TestExchangesThatAreNone(t *testing.T) {
	p := newPool(t)
	seen := listenTo(p)
	c := p.Client(repository(t, "oci://127.0.0.1:1/app", false), Credentials{})
	p.allowed = nil // Loopback is no place for a registry now.
	wantReason(t, headOf(t, c), RegistryUnavailable)
	if len(seen.exchanges) != 0 {
		t.Errorf("expected nothing to be told, found %+v", seen.exchanges)
	}
}
