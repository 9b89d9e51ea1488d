package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// What an address leads to.
type class int

const (
	public class = iota
	// private is where registries inside a cluster are.
	private
	// forbidden is where no registry is unless the operator says so: this
	// machine, its link, and the metadata services of clouds, which hand out the
	// machine's own credentials.
	forbidden
)

var (
	forbiddenPrefixes = prefixes(
		"0.0.0.0/8",          // this network; Linux takes 0.0.0.0 for loopback
		"127.0.0.0/8",        // loopback
		"169.254.0.0/16",     // link-local, with the metadata of most clouds
		"100.100.100.200/32", // metadata of Alibaba Cloud
		"168.63.129.16/32",   // Azure's wire server
		"192.0.0.192/32",     // metadata of Oracle Cloud
		"224.0.0.0/4",        // multicast
		"255.255.255.255/32", // broadcast
		"::/128", "::1/128",
		"fe80::/10",           // link-local
		"fd00:ec2::/32",       // metadata of AWS, and its time and name services
		"fd20:ce::254/128",    // metadata of Google Cloud
		"fd00:42::42/128",     // metadata of Scaleway
		"fd00:c1::a9fe:0/112", // metadata of Oracle Cloud
		"ff00::/8",            // multicast
	)
	privatePrefixes = prefixes(
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
		"100.64.0.0/10", // shared (RFC 6598): clouds use it for Pods
		"240.0.0.0/4",   // reserved, and used for Pods
		"fc00::/7",
		"fec0::/10", // site-local, deprecated
	)
	// In these an IPv4 address is embedded, at this byte, which a gateway on the
	// way leads to.
	embedding = map[netip.Prefix]int{
		netip.MustParsePrefix("64:ff9b::/96"): 12, // NAT64 (RFC 6052)
		netip.MustParsePrefix("2002::/16"):    2,  // 6to4
		netip.MustParsePrefix("::/96"):        12, // IPv4-compatible, deprecated
	}
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func within(all []netip.Prefix, ip netip.Addr) bool {
	for _, p := range all {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// classOf tells what an address leads to. What the operator allows is public.
func classOf(ip netip.Addr, allowed []netip.Prefix) class {
	ip = ip.Unmap().WithZone("")
	switch {
	case within(allowed, ip):
		return public
	case within(forbiddenPrefixes, ip):
		return forbidden
	case within(privatePrefixes, ip):
		return private
	}
	for prefix, at := range embedding {
		if prefix.Contains(ip) {
			bytes := ip.As16()
			return classOf(netip.AddrFrom4([4]byte(bytes[at:at+4])), allowed)
		}
	}
	return public
}

// ParseDialAllow reads addresses and CIDRs for [Options].DialAllow. An error is
// about the first that is neither.
func ParseDialAllow(texts []string) ([]netip.Prefix, error) {
	var allowed []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if ip, notIP := netip.ParseAddr(text); notIP == nil {
			prefix, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("expected addresses or CIDRs such as 127.0.0.0/8, found %.100q", text)
		}
		allowed = append(allowed, prefix.Masked())
	}
	return allowed, nil
}

// literal reads a host that names an address by its form; ok is false for one
// that has to be resolved.
func literal(host string) (ip netip.Addr, ok bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true // RFC 6761, section 6.3.
	}
	ip, err := netip.ParseAddr(host)
	return ip, err == nil
}

// addressError refuses a connection. It does not name the address: a name may
// resolve to another one at each attempt.
type addressError struct{ message string }

func (e *addressError) Error() string { return e.message }

var (
	errForbidden = &addressError{"refused to connect to a loopback, link-local or metadata address: list it with --dial-allow"}
	errPrivate   = &addressError{"sent to a private address by a registry that is not at one: list it with --dial-allow"}
)

// reach says which addresses a connection may lead to: those of the registry
// that a spec names may be private; where that registry sends us may not, unless
// it is at a private address itself.
type reach struct {
	allowed []netip.Prefix
	private bool
}

func (r reach) check(ip netip.Addr) error {
	switch c := classOf(ip, r.allowed); {
	case c == forbidden:
		return errForbidden
	case c == private && !r.private:
		return errPrivate
	}
	return nil
}

// dial is how a pool connects, to addresses that check passes.
type dial func(ctx context.Context, network, address string, check func(netip.Addr) error) (net.Conn, error)

// dialChecked looks at the address that is really connected to, after the name
// was resolved: a name that resolves to something else the second time gains
// nothing. A nil check passes everything.
func dialChecked(ctx context.Context, network, address string, check func(netip.Addr) error) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if check != nil {
		dialer.ControlContext = func(_ context.Context, _, to string, _ syscall.RawConn) error {
			parsed, err := netip.ParseAddrPort(to)
			if err != nil {
				return errForbidden
			}
			return check(parsed.Addr())
		}
	}
	return dialer.DialContext(ctx, network, address)
}

// transports are the ways out. Each has connections of its own: one that may lead
// to a private address is not used by who may not open it.
type transports struct {
	own     *http.Transport // to registries that specs name
	foreign *http.Transport // to where others than private registries send us
	// proxied go to a proxy, which the operator chose, wherever it is, and which
	// resolves names.
	proxied *http.Transport
}

func newTransports(p *Pool, allowed []netip.Prefix) transports {
	direct := func(r reach) *http.Transport {
		t := newTransport()
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return p.dial(ctx, network, address, r.check)
		}
		return t
	}
	proxied := newTransport()
	proxied.Proxy = func(r *http.Request) (*url.URL, error) { return p.proxy(r) }
	proxied.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return p.dial(ctx, network, address, nil)
	}
	return transports{own: direct(reach{allowed, true}), foreign: direct(reach{allowed, false}), proxied: proxied}
}

func newTransport() *http.Transport {
	return &http.Transport{
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          512,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		// Many wait at the same time: what each may be sent before it reads is
		// little.
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: 256 << 10, MaxReceiveBufferPerConnection: 1 << 20},
		// What is read is what is hashed.
		DisableCompression: true,
	}
}

func (t transports) each(do func(*http.Transport)) {
	do(t.own)
	do(t.foreign)
	do(t.proxied)
}
