package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Bounds of what is read below our own requests, by go-containerregistry.
const (
	maxPingBytes  = 64 << 10
	maxErrorBytes = 32 << 10
)

// guard stands below everything that go-containerregistry decides for one
// session. That library falls back to plain HTTP by itself for host names that
// look local, follows redirects of its ping and of the token server by rules of
// its own, and believes the challenge of whoever answers the ping in the end.
//
//   - Requests keep to the protocol that the spec allows.
//   - They keep away from addresses that only this machine or the cluster
//     reaches; see reach.
//   - Credentials and tokens go to the registry that the spec names, and to the
//     token server that this registry itself names when it is pinged.
type guard struct {
	pool     *Pool
	host     string // as in references
	place    string
	insecure bool
	// internal says that the registry was last reached at an internal address.
	internal atomic.Bool

	mu         sync.Mutex
	negotiated bool   // the handshake is over
	realm      string // place of the token server; "" for none
}

func newGuard(p *Pool, repo Repository) *guard {
	scheme := "https"
	if repo.insecure {
		scheme = "http"
	}
	g := &guard{pool: p, host: repo.Host(), place: placeOf(&url.URL{Scheme: scheme, Host: repo.Host()}), insecure: repo.insecure}
	if ip, ok := literal((&url.URL{Host: g.host}).Hostname()); ok {
		g.internal.Store(classOf(ip, nil) != public)
	}
	return g
}

// placeOf is host and port of an address.
func placeOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

type plainHTTPError struct{ message string }

func (e *plainHTTPError) Error() string { return e.message }

type redirectError struct{ message string }

func (e *redirectError) Error() string { return e.message }

// checkRedirect lets blobs come from another host; the guard says from which.
func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return &redirectError{fmt.Sprintf("redirected more than %d times", maxRedirects)}
	}
	return nil
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.checkProtocol(r.URL); err != nil {
		return nil, err
	}
	way, err := g.way(r)
	if err != nil {
		return nil, err
	}
	if r, err = g.checkCredentials(r); err != nil {
		return nil, err
	}
	own := placeOf(r.URL) == g.place
	if own && way == g.pool.ways.own {
		r = g.traced(r)
	}
	response, err := g.send(way, r)
	if err != nil {
		return nil, err
	}
	response.Header = kept(response.Header)
	switch {
	case response.StatusCode >= http.StatusBadRequest:
		noteRefusal(r.Context(), response)
		response.Body = limited(response.Body, maxErrorBytes)
	case own && r.URL.Path == pingPath:
		response.Body = limited(response.Body, maxPingBytes)
	}
	return response, nil
}

func (g *guard) checkProtocol(u *url.URL) error {
	switch {
	case u.Scheme == "http" && !g.insecure:
		return &plainHTTPError{"refused to speak plain HTTP: write insecure: true to allow it for this registry"}
	case u.Scheme == "https" && g.insecure && u.Host == g.host:
		return &plainHTTPError{"insecure: true means plain HTTP, which the registry does not speak"}
	}
	return nil
}

// way is the transport that a request may take. A host that is an address is
// looked at here already: behind a proxy nobody else does.
func (g *guard) way(r *http.Request) (*http.Transport, error) {
	mayBePrivate := placeOf(r.URL) == g.place || g.internal.Load()
	if ip, ok := literal(r.URL.Hostname()); ok {
		if err := (reach{g.pool.allowed, mayBePrivate}).check(ip); err != nil {
			return nil, err
		}
	}
	proxy, err := g.pool.proxy(r)
	switch {
	case err != nil:
		return nil, err
	case proxy != nil:
		return g.pool.ways.proxied, nil
	case mayBePrivate:
		return g.pool.ways.own, nil
	default:
		return g.pool.ways.foreign, nil
	}
}

// traced notes at which address the registry is.
func (g *guard) traced(r *http.Request) *http.Request {
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if at, err := netip.ParseAddrPort(info.Conn.RemoteAddr().String()); err == nil {
			g.internal.Store(classOf(at.Addr(), nil) != public)
		}
	}}))
}

// pingPath is where a registry says how to authenticate.
const pingPath = "/v2/"

// checkCredentials returns the request as it may go out.
func (g *guard) checkCredentials(r *http.Request) (*http.Request, error) {
	place := placeOf(r.URL)
	if place == g.place {
		return r, nil
	}
	if first := origin(r); first != r && placeOf(first.URL) == g.place && first.URL.Path == pingPath {
		// The other host would say who gets the credentials.
		return nil, &redirectError{"redirected to another host when it was asked how to authenticate"}
	}
	realm := g.isRealm(place, r.Response == nil)
	if !realm && r.Method != http.MethodGet && r.Method != http.MethodHead {
		// A token, or a password, in the body.
		return nil, &redirectError{"redirected to another host with credentials"}
	}
	authorization := r.Header.Get("Authorization")
	if realm && !strings.HasPrefix(authorization, "Bearer ") {
		return r, nil
	}
	r = r.Clone(r.Context())
	for _, name := range []string{"Authorization", "Cookie", "Referer"} {
		r.Header.Del(name)
	}
	return r, nil
}

// isRealm reports whether a place is the token server that the registry named.
// That is where the first request of the handshake goes that neither goes to the
// registry nor was redirected: the challenge is the registry's own, since its
// ping does not lead elsewhere.
func (g *guard) isRealm(place string, direct bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.realm == "" && !g.negotiated && direct {
		g.realm = place
	}
	return g.realm == place
}

// endHandshake says that no further token server is believed.
func (g *guard) endHandshake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.negotiated = true
}

// origin is the request that redirects led on from.
func origin(r *http.Request) *http.Request {
	for r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
	}
	return r
}

// kept drops the headers that nobody reads, which a registry may have sent many
// of.
func kept(header http.Header) http.Header {
	few := http.Header{}
	for _, name := range []string{"Content-Type", digestHeader, "Link", "Location", "Retry-After", "Www-Authenticate"} {
		if values, ok := header[name]; ok {
			few[name] = values
		}
	}
	return few
}

type limitedBody struct {
	io.Reader
	io.Closer
}

func limited(body io.ReadCloser, n int64) io.ReadCloser {
	return limitedBody{io.LimitReader(body, n), body}
}

// refusal is what the last answer of an error said, of a request or of those
// below it, whose headers go-containerregistry drops.
type refusal struct {
	mu     sync.Mutex
	code   int
	header http.Header
}

type refusalKey struct{}

func noteRefusal(ctx context.Context, response *http.Response) {
	if seen, ok := ctx.Value(refusalKey{}).(*refusal); ok {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		seen.code, seen.header = response.StatusCode, response.Header
	}
}

// explain adds when to come again to the error of a ping, or of the token
// server.
func (s *refusal) explain(e *Error, cause error) *Error {
	var answered *transport.Error
	if !errors.As(cause, &answered) {
		return e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.code == answered.StatusCode {
		e.RetryAfter = statusError("", s.code, s.header).RetryAfter
	}
	return e
}
