package registry

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
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
	now       func() time.Time
	allowed   []netip.Prefix
	ways      transports
	dial      dial
	proxy     func(*http.Request) (*url.URL, error)
	// See Options.
	onExchange func(context.Context, Exchange)
	onReceived func(host string, n int)
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

// Options are the settings of a Pool.
type Options struct {
	// UserAgent is how it introduces itself.
	UserAgent string
	// DialAllow are addresses that are connected to although they are of this
	// machine, its link, a metadata service, or internal.
	DialAllow []netip.Prefix
	// Now is the clock.
	Now func() time.Time
	// OnExchange is told of every request that went out, retries, redirects and
	// token servers included, with its context. What was refused before it was
	// sent is not told of. It must not wait; nil tells nobody.
	OnExchange func(context.Context, Exchange)
	// OnReceived is told of how many bytes of an answer were read, as they are,
	// by Exchange.Host. It must not wait; nil tells nobody, and so does a nil
	// OnExchange.
	OnReceived func(host string, n int)
}

// NewPool makes a Pool.
func NewPool(o Options) *Pool {
	p := &Pool{
		userAgent:   o.UserAgent,
		now:         o.Now,
		allowed:     o.DialAllow,
		dial:        dialChecked,
		proxy:       http.ProxyFromEnvironment,
		sessions:    lru.New(maxSessions),
		noReferrers: lru.New(maxSessions),
		large:       newLargeBodies(),
		onExchange:  o.OnExchange,
		onReceived:  o.OnReceived,
	}
	p.ways = newTransports(p, o.DialAllow)
	return p
}

// Close closes idle connections.
func (p *Pool) Close() { p.ways.each((*http.Transport).CloseIdleConnections) }

// Client speaks to one repository, for one attempt.
type Client struct {
	// Progress, if it is not nil, is told of every part of a layer that Fetch
	// has read: the bytes so far, and those that the manifest announces for all
	// layers together. It is called from the goroutine of Fetch, which waits.
	Progress func(done, total int64)

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
	g := newGuard(c.pool, c.repo)
	defer g.endHandshake()
	guarded := transport.NewUserAgent(g, c.pool.userAgent)
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

// do sends one request of a kind. What names it in errors. The caller closes the
// body.
func (c *Client) do(ctx context.Context, kind Kind, what, method, url, accept string) (*http.Response, error) {
	what = c.named(what)
	ctx = asking(ctx, kind, url)
	seen := &refusal{}
	ctx = context.WithValue(ctx, refusalKey{}, seen)
	s, err := c.session(ctx)
	if err != nil {
		return nil, seen.explain(c.broken(what, err), err)
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
		return nil, seen.explain(c.broken(what, err), err)
	}
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		// What was negotiated does not hold any more: the next attempt begins anew.
		c.pool.sessions.Remove(c.key())
	}
	return response, nil
}

func (c *Client) hasNoReferrers() bool {
	until, ok := c.pool.noReferrers.Get(c.key())
	return ok && c.pool.now().Before(until.(time.Time))
}

func (c *Client) noteNoReferrers() {
	c.pool.noReferrers.Add(c.key(), c.pool.now().Add(referrersMemory))
}
