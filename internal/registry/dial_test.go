package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestClassOf(t *testing.T) {
	tests := map[class][]string{
		public: {"192.0.2.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "169.253.0.1", "2001:db8::1", "64:ff9b::808:808", "2002:808:808::1", "168.63.129.17", "fe00::1"},
		private: {
			"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.255", "240.0.0.1", "fc00::1", "fd00::1", "fec0::1",
			"::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "::10.0.0.1",
		},
		forbidden: {
			"127.0.0.1", "127.255.255.255", "::1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.0.1", "169.254.170.2", "fe80::1", "fe80::1%eth0", "febf::1",
			"224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
			"fd00:42::42", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "::169.254.169.254",
		},
	}
	for want, addresses := range tests {
		for _, text := range addresses {
			if found := classOf(netip.MustParseAddr(text), nil); found != want {
				t.Errorf("%s: expected %d, found %d", text, want, found)
			}
		}
	}
	allowed := prefixes("127.0.0.1/32", "10.1.0.0/16", "169.254.169.254/32")
	for text, want := range map[string]class{
		"127.0.0.1": public, "127.0.0.2": forbidden, "10.1.2.3": public, "10.2.0.0": private, "::ffff:127.0.0.1": public, "64:ff9b::a9fe:a9fe": public, "169.254.169.253": forbidden,
	} {
		if found := classOf(netip.MustParseAddr(text), allowed); found != want {
			t.Errorf("%s, with exceptions: expected %d, found %d", text, want, found)
		}
	}
}

// requests are all kinds of request that a registry may redirect.
var requests = map[string]func(context.Context, *Client) error{
	"ping": func(ctx context.Context, c *Client) error {
		_, err := c.Resolve(ctx, Selector{tag: "ping"})
		return err
	},
	"head": func(ctx context.Context, c *Client) error {
		_, err := c.Resolve(ctx, Selector{tag: "latest"})
		return err
	},
	"tags": func(ctx context.Context, c *Client) error {
		s, err := NewSelector("1.x", "", "", "")
		if err == nil {
			_, err = c.Resolve(ctx, s)
		}
		return err
	},
	"blob":     func(ctx context.Context, c *Client) error { _, err := c.smallBlob(ctx, digestOf(nil), 0); return err },
	"manifest": func(ctx context.Context, c *Client) error { _, _, err := c.manifest(ctx, "latest", ""); return err },
	"referrers": func(ctx context.Context, c *Client) error {
		_, err := (&collector{client: c, digest: otherDigest}).referrers(ctx)
		return err
	},
}

// strict is a pool that may not reach loopback, and finds hosts through n.
func strict(t *testing.T, n *names, ca *authority, allowed ...netip.Prefix) *Pool {
	t.Helper()
	p := NewPool(Options{UserAgent: "assay-test", Now: time.Now, DialAllow: allowed})
	t.Cleanup(p.Close)
	n.use(p, ca.pool())
	return p
}

func wantRefused(t *testing.T, err error, want error) {
	t.Helper()
	wantReason(t, err, RegistryUnavailable)
	if err != nil && !strings.HasSuffix(err.Error(), ": "+want.Error()) {
		t.Errorf("expected %q, found %q", want, err)
	}
}

// A registry cannot send the controller to an address that only the cluster
// reaches, with whatever request, written as an address or as a name.
func TestRedirectToAnInternalAddressIsRefused(t *testing.T) {
	targets := map[string]struct {
		resolved string
		want     error
	}{
		"169.254.169.254": {"", errForbidden}, "127.0.0.1": {"", errForbidden}, "10.0.0.1": {"", errPrivate}, "192.168.0.1:8443": {"", errPrivate},
		"172.31.0.1": {"", errPrivate}, "0.0.0.0": {"", errForbidden}, "[::1]": {"", errForbidden}, "[fe80::1]": {"", errForbidden}, "[fd00:ec2::254]": {"", errForbidden},
		"[::ffff:169.254.169.254]": {"", errForbidden}, "100.100.100.200": {"", errForbidden}, "100.64.0.1": {"", errPrivate}, "168.63.129.16": {"", errForbidden},
		"localhost": {"", errForbidden}, "LOCALHOST.": {"", errForbidden}, "x.localhost": {"", errForbidden},
		"metadata.example.com": {"169.254.169.254", errForbidden}, "loopback.example.com": {"::1", errForbidden}, "inside.example.com": {"10.0.0.1", errPrivate},
		"mapped.example.com": {"::ffff:10.0.0.1", errPrivate}, "wire.example.com": {"168.63.129.16", errForbidden},
	}
	ca := newAuthority(t)
	hosts := []string{"registry.example.com"}
	for target := range targets {
		hosts = append(hosts, (&url.URL{Host: target}).Hostname())
	}
	certificate := ca.issue(t, time.Now().Add(time.Hour), hosts...)
	for target, tt := range targets {
		for name, request := range requests {
			t.Run(target+" "+name, func(t *testing.T) {
				registry := serveTLS(t, certificate, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/v2/" && name != "ping" {
						return
					}
					http.Redirect(w, r, "https://"+target+"/latest/meta-data", http.StatusTemporaryRedirect)
				})
				address := placeOf(&url.URL{Scheme: "https", Host: target})
				n := &names{addresses: map[string]string{"registry.example.com:443": registry, address: registry}}
				if host := (&url.URL{Host: target}).Hostname(); tt.resolved != "" {
					n.resolved = map[string]string{host: tt.resolved}
				}
				p := strict(t, n, ca)
				err := request(t.Context(), p.Client(repository(t, "oci://registry.example.com/app", false), Credentials{}))
				if name == "ping" && tt.resolved != "" {
					wantReason(t, err, RegistryUnavailable) // It may not lead elsewhere at all.
				} else {
					wantRefused(t, err, tt.want)
				}
				if n.reached(address) {
					t.Errorf("%s was asked", address)
				}
			})
		}
	}
}

// Where the registry itself is: the spec names it, and may name one inside.
func TestAddressesOfTheRegistry(t *testing.T) {
	tests := map[string]struct {
		host, resolved, allow string
		want                  error
	}{
		"public":                         {"registry.example.com", "192.0.2.1", "", nil},
		"inside":                         {"registry.example.com", "10.0.0.1", "", nil},
		"inside, as an address":          {"10.0.0.1", "", "", nil},
		"loopback":                       {"registry.example.com", "127.0.0.1", "", errForbidden},
		"loopback, as an address":        {"127.0.0.1", "", "", errForbidden},
		"localhost":                      {"localhost", "127.0.0.1", "", errForbidden},
		"metadata":                       {"registry.example.com", "169.254.169.254", "", errForbidden},
		"metadata, as an address":        {"169.254.169.254", "", "", errForbidden},
		"loopback that is allowed":       {"registry.example.com", "127.0.0.1", "127.0.0.0/8", nil},
		"loopback beside what is":        {"registry.example.com", "127.0.0.2", "127.0.0.1/32", errForbidden},
		"localhost that is allowed":      {"localhost", "127.0.0.1", "127.0.0.0/8", nil},
		"link-local that is allowed":     {"registry.example.com", "169.254.1.1", "169.254.1.1/32", nil},
		"metadata is not allowed by it":  {"registry.example.com", "169.254.169.254", "169.254.1.1/32", errForbidden},
		"metadata in an allowed network": {"registry.example.com", "100.100.100.200", "100.64.0.0/10", nil},
	}
	ca := newAuthority(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			registry := serveTLS(t, ca.issue(t, time.Now().Add(time.Hour), tt.host), func(http.ResponseWriter, *http.Request) {})
			n := &names{addresses: map[string]string{tt.host + ":443": registry}, resolved: map[string]string{tt.host: tt.resolved}}
			var allowed []netip.Prefix
			if tt.allow != "" {
				allowed = prefixes(tt.allow)
			}
			p := strict(t, n, ca, allowed...)
			_, err := p.Client(repository(t, "oci://"+tt.host+"/app", false), Credentials{}).smallBlob(t.Context(), digestOf(nil), 0)
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantRefused(t, err, tt.want)
			if n.reached(tt.host + ":443") {
				t.Error("it was asked")
			}
		})
	}
}

// A registry that is internal itself may keep its blobs beside it, and nothing
// on this machine.
func TestRedirectFromAnInternalRegistry(t *testing.T) {
	ca := newAuthority(t)
	certificate := ca.issue(t, time.Now().Add(time.Hour), "10.0.0.1", "10.0.0.2", "registry.example.com", "blobs.example.com", "169.254.169.254")
	blobs := serveTLS(t, certificate, func(http.ResponseWriter, *http.Request) {})
	for registry, at := range map[string]string{"10.0.0.1": "", "registry.example.com": "10.0.0.1"} {
		for target, want := range map[string]error{"10.0.0.2": nil, "blobs.example.com": nil, "169.254.169.254": errForbidden} {
			t.Run(registry+" "+target, func(t *testing.T) {
				server := serveTLS(t, certificate, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/v2/" {
						http.Redirect(w, r, "https://"+target+"/elsewhere", http.StatusTemporaryRedirect)
					}
				})
				n := &names{addresses: map[string]string{registry + ":443": server, target + ":443": blobs}, resolved: map[string]string{"blobs.example.com": "10.0.0.2", registry: at}}
				_, err := strict(t, n, ca).Client(repository(t, "oci://"+registry+"/app", false), Credentials{}).smallBlob(t.Context(), digestOf(nil), 0)
				if want == nil && err != nil {
					t.Error(err)
				} else if want != nil {
					wantRefused(t, err, want)
				}
			})
		}
	}
}

// A name that resolves to another address later gains nothing, and neither does
// who finds a connection that somebody else was right to open.
func TestRebinding(t *testing.T) {
	ca := newAuthority(t)
	certificate := ca.issue(t, time.Now().Add(time.Hour), "public.example.com", "inside.example.com")
	inside := serveTLS(t, certificate, func(http.ResponseWriter, *http.Request) {})
	public := serveTLS(t, certificate, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			http.Redirect(w, r, "https://inside.example.com/elsewhere", http.StatusTemporaryRedirect)
		}
	})
	n := &names{
		addresses: map[string]string{"public.example.com:443": public, "inside.example.com:443": inside},
		resolved:  map[string]string{"inside.example.com": "10.0.0.1"},
	}
	p := strict(t, n, ca)
	ask := func(host string) error {
		_, err := p.Client(repository(t, "oci://"+host+"/app", false), Credentials{}).smallBlob(t.Context(), digestOf(nil), 0)
		return err
	}
	if err := ask("inside.example.com"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, ask("public.example.com"), errPrivate) // There is a connection to it.
	n.resolve("inside.example.com", "192.0.2.2")
	if err := ask("public.example.com"); err != nil {
		t.Errorf("expected a redirect to a public address to be followed: %v", err)
	}
	n.resolve("inside.example.com", "169.254.169.254")
	p.Close() // Its idle connections.
	wantRefused(t, ask("public.example.com"), errForbidden)
	n.resolve("public.example.com", "127.0.0.1")
	p.Close()
	wantRefused(t, ask("public.example.com"), errForbidden)
}

// A token server is looked at as a redirect is.
func TestRealmAtAnInternalAddressIsRefused(t *testing.T) {
	ca := newAuthority(t)
	certificate := ca.issue(t, time.Now().Add(time.Hour), "registry.example.com", "auth.example.com")
	for at, want := range map[string]error{"127.0.0.1": errForbidden, "169.254.169.254": errForbidden, "10.0.0.1": errPrivate} {
		server := serveTLS(t, certificate, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.example.com/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
		n := &names{addresses: map[string]string{"registry.example.com:443": server, "auth.example.com:443": server}, resolved: map[string]string{"auth.example.com": at}}
		_, err := strict(t, n, ca).Client(repository(t, "oci://registry.example.com/app", false), Credentials{}).smallBlob(t.Context(), digestOf(nil), 0)
		wantRefused(t, err, want)
		if n.reached("auth.example.com:443") {
			t.Errorf("%s was asked", at)
		}
	}
}

// What is looked at is the address that the operating system connects to.
func TestDialChecked(t *testing.T) {
	listener := listenTCP(t)
	accepted := make(chan struct{}, 8)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, host := range []string{"localhost", "127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"} {
		_, err := dialChecked(t.Context(), "tcp", net.JoinHostPort(host, port), reach{private: true}.check)
		if !errors.Is(err, errForbidden) {
			t.Errorf("%s: expected %v, found %v", host, errForbidden, err)
		}
	}
	if n := len(accepted); n != 0 {
		t.Errorf("expected no connection, found %d", n)
	}
	c, err := dialChecked(t.Context(), "tcp", net.JoinHostPort("localhost", port), reach{allowed: loopback}.check)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// A proxy is where the operator says, and resolves names; addresses are looked
// at before.
func TestProxy(t *testing.T) {
	seen := &headersSeen{answer: func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") && r.URL.Host == "registry.example.com" {
			http.Redirect(w, r, "http://10.0.0.1/elsewhere", http.StatusTemporaryRedirect)
		}
	}}
	proxy := serve(t, listenTCP(t), seen.ServeHTTP)
	p := NewPool(Options{UserAgent: "assay-test", Now: time.Now})
	t.Cleanup(p.Close)
	p.proxy = func(*http.Request) (*url.URL, error) { return &url.URL{Scheme: "http", Host: proxy}, nil }
	blob := func(host string) error {
		_, err := p.Client(repository(t, "oci://"+host+"/app", true), Credentials{}).smallBlob(t.Context(), digestOf(nil), 0)
		return err
	}
	if err := blob("blobs.example.com"); err != nil {
		t.Errorf("expected the proxy to be asked: %v", err)
	}
	before := len(seen.all())
	if before == 0 {
		t.Error("expected the proxy to be asked, found no request")
	}
	for _, host := range []string{"169.254.169.254", "localhost", "127.0.0.1:5000"} {
		wantRefused(t, blob(host), errForbidden)
	}
	if n := len(seen.all()); n != before {
		t.Errorf("expected the proxy not to be asked for these, found %d requests", n-before)
	}
	wantRefused(t, blob("registry.example.com"), errPrivate)
	if err := blob("10.0.0.1"); err != nil {
		t.Errorf("expected a registry inside to be asked for: %v", err)
	}
}
