package registry

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// crdURL are the rules of spec.url as the API server has them: matches is what
// a URL must match, and the others what it must not.
func crdURL(t testing.TB) (matches *regexp.Regexp, not []*regexp.Regexp) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", "source.assay.dev_modulesources.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`(!?)self\.matches\('+(\^oci://.*?)'+\)`).FindAllStringSubmatch(string(text), -1) {
		rule, err := regexp.Compile(found[2])
		switch {
		case err != nil:
			t.Fatal(err)
		case found[1] == "!":
			not = append(not, rule)
		case matches != nil:
			t.Fatal("the CRD has two rules of what a URL is")
		default:
			matches = rule
		}
	}
	if matches == nil || len(not) != 3 {
		t.Fatalf("the CRD's rules of spec.url are not found: %v, %v", matches, not)
	}
	return matches, not
}

// dialled is a pool that connects to nobody, and remembers to whom it wanted
// to.
type dialled struct {
	*Pool
	mu        sync.Mutex
	addresses []string
}

func newDialled() *dialled {
	d := &dialled{Pool: NewPool(Options{UserAgent: "assay-test", Now: time.Now, DialAllow: loopback})}
	d.proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	d.dial = func(_ context.Context, _, address string, _ func(netip.Addr) error) (net.Conn, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.addresses = append(d.addresses, address)
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	}
	return d
}

// take returns the addresses, and forgets them.
func (d *dialled) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.addresses
	d.addresses = nil
	return slices.Compact(all)
}

// FuzzParseRepository: what is accepted is what the API server accepts, and
// requests go to the host that stands in it, and nowhere else.
func FuzzParseRepository(f *testing.F) {
	for _, seed := range []string{
		"oci://ghcr.io/org/app", "oci://registry.example.com:5000/app", "oci://127.0.0.1:5000/a/b", "oci://10.1.2.3/app", "oci://localhost/app", "oci://docker.io/org/app",
		"oci://docker.io/app", "oci://index.docker.io/library/app", "oci://registry/app", "oci://registry:443/app", "oci://GHCR.io/app", "oci://x.local/app",
		"", "oci://", "oci://ghcr.io", "oci://user:password@ghcr.io/app", "oci://ghcr.io@evil.example/app", "oci://ghcr.io:5000@evil.example/app", `oci://ghcr.io\@evil.example/app`,
		"oci://ghcr.io#@evil.example/app", "oci://ghcr.io?x=/app", "oci://ghcr.io/app:1.0.0", "oci://ghcr.io/app@sha256:00", "oci://ghcr.io/../app", "oci://ghcr.io/a//b",
		"oci://[::1]:5000/app", "oci://ghcr.io:0/app", "oci://ghcr.io:99999/app", "oci://ghcr.io:080/app", "oci://ghcr..io/app", "oci://ghcr.io./app", "oci://0x7f.1/app",
		"oci://ghcr.io/app\n", "oci://ghcr.io/app\x00", "oci://ghcr.io%2f.evil.example/app", "oci://xn--ls8h.example/app", "https://ghcr.io/app", "oci://ghcr.io/" + strings.Repeat("a", 256),
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	matches, not := crdURL(f)
	f.Fuzz(func(t *testing.T, text string, insecure bool) {
		repo, err := ParseRepository(text, insecure)
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			return
		}
		if !matches.MatchString(text) || slices.ContainsFunc(not, func(r *regexp.Regexp) bool {
			return r.MatchString(text) && !strings.HasPrefix(text, "oci://localhost/")
		}) {
			t.Errorf("%q is accepted, and not by the CRD", text)
		}
		// The parts by their places, without a parser.
		host, path, _ := strings.Cut(strings.TrimPrefix(text, "oci://"), "/")
		if host == "docker.io" {
			host = "index.docker.io" // Docker Hub's registry.
		}
		protocol, port := "https", "443"
		if insecure {
			protocol, port = "http", "80"
		}
		want := url.URL{Scheme: protocol, Host: host, Path: "/v2/" + path + "/manifests/x"}
		if repo.Host() != host || repo.url("manifests", "x") != want.String() || repo.String() != host+"/"+path {
			t.Errorf("%q is %s of %s: %s", text, repo, repo.Host(), repo.url("manifests", "x"))
		}
		request, err := http.NewRequest(http.MethodGet, repo.url("manifests", "x"), nil)
		if err != nil {
			return // As a request of it would say; the port, for one.
		}
		if u := request.URL; u.String() != want.String() || u.User != nil || u.Host != host || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q is asked at %s", text, request.URL)
		}
		// And where connections go to.
		if !strings.Contains(host, ":") {
			host += ":" + port
		}
		d := newDialled()
		defer d.Close()
		_, err = d.Client(repo, Credentials{}).Resolve(t.Context(), Selector{tag: "latest"})
		wantReason(t, err, RegistryUnavailable)
		addresses := d.take()
		if len(addresses) == 0 {
			t.Errorf("%q connects to nobody: %v", text, err)
		}
		for _, address := range addresses {
			if !strings.EqualFold(address, host) {
				t.Errorf("%q connects to %s", text, address)
			}
		}
	})
}
