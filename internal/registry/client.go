package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"k8s.io/utils/lru"
)

const (
	// maxSessions bounds the repositories whose authentication is remembered;
	// one beyond it costs a ping and a token more a poll.
	maxSessions = 32768
	// maxRedirects bounds how often a registry can send a request elsewhere.
	maxRedirects = 5
	// referrersMemory is how long a repository is believed to have no referrers
	// API before it is asked again. It is not remembered for the registry as a
	// whole: one that routes by path, or passes on to others, has repositories
	// of both kinds, and what is not asked for looks like not signed.
	referrersMemory = time.Hour
)

// Pool holds the connections and sessions of the process. Connections are
// shared by all; a session, which is a ping and a token, by all who speak to
// the same repository in the same way with the same credentials.
type Pool struct {
	userAgent string
	base      *http.Transport
	now       func() time.Time
	// What is known of a repository, by sessionKey.
	sessions    *lru.Cache // *http.Client
	noReferrers *lru.Cache // time.Time until which it is believed
	large       *largeBodies
}

type sessionKey struct {
	repository  string
	insecure    bool
	credentials string
}

// NewPool makes a Pool that introduces itself as userAgent.
func NewPool(userAgent string, now func() time.Time) *Pool {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  time.Minute,
		MaxResponseHeaderBytes: 256 << 10,
		// What is read is what is hashed.
		DisableCompression: true,
	}
	return &Pool{
		userAgent:   userAgent,
		base:        t,
		now:         now,
		sessions:    lru.New(maxSessions),
		noReferrers: lru.New(maxSessions),
		large:       newLargeBodies(),
	}
}

// Close closes idle connections.
func (p *Pool) Close() { p.base.CloseIdleConnections() }

// Client speaks to one repository, for one attempt.
type Client struct {
	pool        *Pool
	repo        Repository
	credentials Credentials
	// What the attempt holds in memory; see memory.go.
	held   int64
	large  bool
	failed bool
}

// Client returns a client for repo. It costs nothing and asks nobody. The caller
// closes it.
func (p *Pool) Client(repo Repository, credentials Credentials) *Client {
	return &Client{pool: p, repo: repo, credentials: credentials}
}

func (c *Client) key() sessionKey {
	return sessionKey{c.repo.String(), c.repo.insecure, c.credentials.id}
}

// session returns the authenticated client of the repository. Two who need a
// new one at the same time both make one: neither waits on the other's deadline.
func (c *Client) session(ctx context.Context) (*http.Client, error) {
	if s, ok := c.pool.sessions.Get(c.key()); ok {
		return s.(*http.Client), nil
	}
	guarded := transport.NewUserAgent(&guard{inner: c.pool.base, host: c.repo.Host(), insecure: c.repo.insecure}, c.pool.userAgent)
	authenticated, err := transport.NewWithContext(ctx, c.repo.repo.Registry, c.credentials.authenticator(), guarded, []string{c.repo.repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, err
	}
	s := &http.Client{Transport: authenticated, CheckRedirect: checkRedirect}
	c.pool.sessions.Add(c.key(), s)
	return s, nil
}

// named says in errors what of the repository was asked for.
func (c *Client) named(what string) string { return c.repo.String() + ": " + what }

// do sends one request. What names it in errors. The caller closes the body.
func (c *Client) do(ctx context.Context, what, method, url, accept string) (*http.Response, error) {
	what = c.named(what)
	s, err := c.session(ctx)
	if err != nil {
		return nil, requestError(what, err)
	}
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, requestError(what, err)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := s.Do(request)
	if err != nil {
		return nil, c.broken(what, err)
	}
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		// What was negotiated does not hold any more: the next attempt begins anew.
		c.pool.sessions.Remove(c.key())
	}
	return response, nil
}

// guard keeps requests to the protocol that the spec allows, and away from
// addresses that only the cluster reaches, such as a cloud's metadata service,
// unless the registry is at such an address itself. It stands below everything
// that go-containerregistry decides: that library falls back to plain HTTP by
// itself for host names that look local, with the credentials, and follows
// redirects of its ping and of the token server by rules of its own.
type guard struct {
	inner    http.RoundTripper
	host     string
	insecure bool
}

type plainHTTPError struct{ message string }

func (e *plainHTTPError) Error() string { return e.message }

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case r.URL.Scheme == "http" && !g.insecure:
		return nil, &plainHTTPError{"refused to speak plain HTTP: write insecure: true to allow it for this registry"}
	case r.URL.Scheme == "https" && g.insecure && r.URL.Host == g.host:
		return nil, &plainHTTPError{"insecure: true means plain HTTP, which the registry does not speak"}
	case r.URL.Host != g.host && isInternal(r.URL.Hostname()) && !isInternal((&url.URL{Host: g.host}).Hostname()):
		return nil, &redirectError{"redirected to an internal address"}
	}
	return g.inner.RoundTrip(r)
}

type redirectError struct{ message string }

func (e *redirectError) Error() string { return e.message }

// checkRedirect lets blobs come from another host; the guard says from which.
func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return &redirectError{fmt.Sprintf("redirected more than %d times", maxRedirects)}
	}
	return nil
}

// sharedAddresses are for carriers' networks (RFC 6598), which clouds use for
// Pods and for a metadata service, too.
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

// isInternal knows an address by its form. What a name resolves to is not
// looked at: a registry's own name may well lead to an internal address.
func isInternal(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true // RFC 6761, section 6.3.
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || sharedAddresses.Contains(ip)
}

func (c *Client) hasNoReferrers() bool {
	until, ok := c.pool.noReferrers.Get(c.key())
	return ok && c.pool.now().Before(until.(time.Time))
}

func (c *Client) noteNoReferrers() {
	c.pool.noReferrers.Add(c.key(), c.pool.now().Add(referrersMemory))
}
