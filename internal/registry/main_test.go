package registry

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(testregistry.DistributionGoroutine))
}

// kinds are the kinds of registry: without a referrers API, and with one.
var kinds = map[string]func(testregistry.Options) (*testregistry.Server, error){
	"distribution": testregistry.Distribution,
	"referrers":    testregistry.Referrers,
}

func start(t testing.TB, kind string, o testregistry.Options) *testregistry.Server {
	t.Helper()
	server, err := kinds[kind](o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing the registry: %v", err)
		}
	})
	return server
}

func newPool(t testing.TB) *Pool {
	t.Helper()
	p := NewPool(Options{UserAgent: "assay-test", Now: time.Now, DialAllow: loopback})
	t.Cleanup(p.Close)
	return p
}

// loopback is where registries are in tests.
var loopback = prefixes("127.0.0.0/8", "::1/128")

func repository(t testing.TB, url string, insecure bool) Repository {
	t.Helper()
	repo, err := ParseRepository(url, insecure)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// client speaks plain HTTP to a repository of a test registry.
func client(t testing.TB, p *Pool, server *testregistry.Server, repo string) *Client {
	t.Helper()
	c := p.Client(repository(t, "oci://"+server.Host()+"/"+repo, true), Credentials{})
	t.Cleanup(c.Close)
	return c
}

func selector(t testing.TB, version, tag, digest, filter string) Selector {
	t.Helper()
	s, err := NewSelector(version, tag, digest, filter)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// push pushes a small module, and returns its digest.
func push(t testing.TB, server *testregistry.Server, repo, tag string, o module.Options) string {
	t.Helper()
	image, err := module.New(o)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := module.Push(t.Context(), server.Host()+"/"+repo+":"+tag, image)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func newKey(t testing.TB) *signing.Key {
	t.Helper()
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verified is the proof of a verdict on digest, judged for real.
func verified(t testing.TB, digest string) verify.Verified {
	t.Helper()
	key := newKey(t)
	signature, err := signing.NewBundle(signing.Statement{Digest: digest}, key)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := verify.ParseKeys(key.PublicPEM())
	if err != nil {
		t.Fatal(err)
	}
	policy := verify.Policy{Threshold: 1, Authorities: []verify.Authority{{Name: "key", Keys: keys, TransparencyLog: verify.LogIgnore}}}
	v, err := verify.Verify(policy, digest, []verify.Signature{{Format: verify.FormatBundle, Payload: signature}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// reasonOf is the reason of an error, which must be an *Error.
func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("expected an *Error, found %T: %v", err, err)
	}
	return e.Reason
}

func wantReason(t testing.TB, err error, want Reason) {
	t.Helper()
	if found := reasonOf(t, err); found != want {
		t.Errorf("expected the reason %q, found %q: %v", want, found, err)
	}
}

// names is a resolver of host names of its own: it leads every connection of a
// pool to an address on loopback, and remembers what was dialled.
type names struct {
	addresses map[string]string // "host:port" -> the address on loopback
	// resolved are the addresses that names stand for; without one, a name is
	// that of a public registry.
	resolved map[string]string

	mu     sync.Mutex
	dialed []string
}

func (n *names) dial(ctx context.Context, network, address string, check func(netip.Addr) error) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	at, err := netip.ParseAddr(cmp.Or(n.resolved[host], host))
	n.mu.Unlock()
	if err != nil {
		at = netip.MustParseAddr("192.0.2.1")
	}
	if check != nil {
		if err := check(at); err != nil {
			return nil, &net.OpError{Op: "dial", Err: err}
		}
	}
	n.mu.Lock()
	n.dialed = append(n.dialed, address)
	n.mu.Unlock()
	to, ok := n.addresses[address]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, to)
	if err != nil {
		return nil, err
	}
	return elsewhere{c, net.TCPAddrFromAddrPort(netip.AddrPortFrom(at, 443))}, nil
}

// resolve makes a name stand for another address.
func (n *names) resolve(host, at string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.resolved[host] = at
}

// elsewhere is a connection that says to be at another address.
type elsewhere struct {
	net.Conn
	at net.Addr
}

func (e elsewhere) RemoteAddr() net.Addr { return e.at }

func (n *names) reached(address string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.dialed {
		if d == address {
			return true
		}
	}
	return false
}

// use makes a pool find hosts through n, and trust roots.
func (n *names) use(p *Pool, roots *x509.CertPool) {
	p.dial = n.dial
	p.proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	p.ways.each(func(t *http.Transport) { t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12} })
}

// authority is a certificate authority of a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{parsed, key}
}

func (a *authority) pool() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	return roots
}

// issue makes the certificate of a server.
func (a *authority) issue(t testing.TB, notAfter time.Time, hosts ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, h)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// recorded is the body of the registry's own answer.
func recorded(r *http.Request, next http.Handler) []byte {
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	return answer.Body.Bytes()
}
