package registry

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestParseRepository(t *testing.T) {
	tests := map[string]struct {
		url      string
		insecure bool
		host     string // "" where the URL is refused
		manifest string // the address of the manifest "x"
	}{
		"a host":              {url: "oci://ghcr.io/org/modules/app", host: "ghcr.io", manifest: "https://ghcr.io/v2/org/modules/app/manifests/x"},
		"a port":              {url: "oci://registry.example.com:5000/app", host: "registry.example.com:5000", manifest: "https://registry.example.com:5000/v2/app/manifests/x"},
		"insecure":            {url: "oci://registry.example.com/app", insecure: true, host: "registry.example.com", manifest: "http://registry.example.com/v2/app/manifests/x"},
		"Docker Hub":          {url: "oci://docker.io/org/app", host: "index.docker.io", manifest: "https://index.docker.io/v2/org/app/manifests/x"},
		"Docker Hub's own":    {url: "oci://docker.io/library/app", host: "index.docker.io", manifest: "https://index.docker.io/v2/library/app/manifests/x"},
		"loopback":            {url: "oci://127.0.0.1:5000/app", host: "127.0.0.1:5000", manifest: "https://127.0.0.1:5000/v2/app/manifests/x"},
		"localhost":           {url: "oci://localhost/app", host: "localhost", manifest: "https://localhost/v2/app/manifests/x"},
		"an address":          {url: "oci://10.1.2.3/app", host: "10.1.2.3", manifest: "https://10.1.2.3/v2/app/manifests/x"},
		"separators":          {url: "oci://ghcr.io/a-b/c__d/e.f", host: "ghcr.io", manifest: "https://ghcr.io/v2/a-b/c__d/e.f/manifests/x"},
		"nothing":             {url: ""},
		"no scheme":           {url: "ghcr.io/org/app"},
		"another scheme":      {url: "https://ghcr.io/org/app"},
		"a scheme in capital": {url: "OCI://ghcr.io/org/app"},
		"no repository":       {url: "oci://ghcr.io"},
		"an empty repository": {url: "oci://ghcr.io/"},
		"a tag":               {url: "oci://ghcr.io/org/app:1.0.0"},
		"a digest":            {url: "oci://ghcr.io/org/app@sha256:" + strings.Repeat("ab", 32)},
		"upper case":          {url: "oci://ghcr.io/Org/app"},
		"a user":              {url: "oci://user:password@ghcr.io/org/app"},
		"a query":             {url: "oci://ghcr.io/org/app?x=y"},
		"a fragment":          {url: "oci://ghcr.io/org/app#x"},
		"going up":            {url: "oci://ghcr.io/org/../app"},
		"a slash at the end":  {url: "oci://ghcr.io/org/app/"},
		"two slashes":         {url: "oci://ghcr.io/org//app"},
		"a space":             {url: "oci://ghcr.io/org/app "},
		"a newline":           {url: "oci://ghcr.io/org/app\n"},
		"an encoded slash":    {url: "oci://ghcr.io/org%2fapp"},
		// It would be taken for a repository of Docker Hub.
		"a host without a dot":           {url: "oci://registry/org/app"},
		"a host without a dot, its port": {url: "oci://registry:443/org/app", host: "registry:443", manifest: "https://registry:443/v2/org/app/manifests/x"},
		"a long repository":              {url: "oci://ghcr.io/" + strings.Repeat("a", 256)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			repo, err := ParseRepository(tt.url, tt.insecure)
			if tt.host == "" {
				if err == nil {
					t.Fatalf("expected an error, found %s", repo)
				}
				if len(err.Error()) > 1000 {
					t.Errorf("expected a bounded message, found %d bytes", len(err.Error()))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if repo.Host() != tt.host {
				t.Errorf("expected the host %s, found %s", tt.host, repo.Host())
			}
			if found := repo.url("manifests", "x"); found != tt.manifest {
				t.Errorf("expected the address %s, found %s", tt.manifest, found)
			}
		})
	}
}

// wiretap accepts connections and writes down what comes in on them.
type wiretap struct {
	listener net.Listener
	answer   func(net.Conn) // after the first bytes; may be nil

	mu    sync.Mutex
	first [][]byte
	done  sync.WaitGroup
}

func newWiretap(t *testing.T, answer func(net.Conn)) *wiretap {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wiretap{listener: listener, answer: answer}
	w.done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			w.done.Go(func() { w.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.done.Wait()
	})
	return w
}

func (w *wiretap) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	buffer := make([]byte, 64<<10)
	n, _ := conn.Read(buffer)
	w.mu.Lock()
	w.first = append(w.first, buffer[:n])
	w.mu.Unlock()
	if w.answer != nil {
		w.answer(conn)
	}
}

func (w *wiretap) heard() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first
}

// For host names that look local go-containerregistry falls back to plain HTTP
// by itself. No byte of HTTP may go out unless the spec says insecure.
func TestNoPlainHTTPWithoutInsecure(t *testing.T) {
	plainAnswer := func(conn net.Conn) {
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	}
	answers := map[string]func(net.Conn){
		"hangs up":                  nil,
		"answers in plain HTTP":     plainAnswer,
		"refuses the TLS handshake": func(conn net.Conn) { _, _ = conn.Write([]byte{21, 3, 1, 0, 2, 2, 40}) },
	}
	for _, host := range []string{"127.0.0.1:5000", "localhost:5000", "10.1.2.3:5000", "192.168.1.1:5000", "172.16.0.1:5000", "registry.local:5000", "registry.example.com:5000"} {
		for name, answer := range answers {
			t.Run(host+" "+name, func(t *testing.T) {
				tap := newWiretap(t, answer)
				p := newPool(t)
				(&names{addresses: map[string]string{host: tap.listener.Addr().String()}}).use(p, nil)
				repo := repository(t, "oci://"+host+"/app", false)
				secret, err := ParseDockerConfig([]byte(`{"auths":{"`+host+`":{"username":"user","password":"hunter2"}}}`), repo)
				if err != nil {
					t.Fatal(err)
				}
				for _, credentials := range []Credentials{{}, secret} {
					_, err := p.Client(repo, credentials).Resolve(t.Context(), selector(t, "", "latest", "", ""))
					wantReason(t, err, RegistryUnavailable)
				}
				heard := tap.heard()
				if len(heard) == 0 {
					t.Error("nothing was heard, so nothing is proved")
				}
				for _, b := range heard {
					if !bytes.HasPrefix(b, []byte{22, 3}) {
						t.Errorf("expected a TLS handshake, heard %.80q", b)
					}
				}
			})
		}
	}
}

func TestInsecureNeverSpeaksHTTPS(t *testing.T) {
	for _, host := range []string{"127.0.0.1:5000", "registry.example.com:443", "registry.example.com:5000"} {
		t.Run(host, func(t *testing.T) {
			tap := newWiretap(t, func(conn net.Conn) {
				_, _ = conn.Write([]byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
			})
			p := newPool(t)
			(&names{addresses: map[string]string{host: tap.listener.Addr().String()}}).use(p, nil)
			_, err := p.Client(repository(t, "oci://"+host+"/app", true), Credentials{}).Resolve(t.Context(), selector(t, "", "latest", "", ""))
			wantReason(t, err, RegistryUnavailable)
			if len(tap.heard()) == 0 {
				t.Error("nothing was heard, so nothing is proved")
			}
			for _, b := range tap.heard() {
				if !bytes.HasPrefix(b, []byte("GET /v2/ HTTP/1.1\r\n")) {
					t.Errorf("expected a plain HTTP request, heard %.80q", b)
				}
			}
		})
	}
}

// A redirect does not lead from HTTPS to plain HTTP.
func TestRedirectToPlainHTTPIsRefused(t *testing.T) {
	authority := newAuthority(t)
	tap := newWiretap(t, nil)
	n := &names{addresses: map[string]string{"blobs.example.com:80": tap.listener.Addr().String()}}
	n.addresses["registry.example.com:443"] = serveTLS(t, authority.issue(t, time.Now().Add(time.Hour), "registry.example.com"),
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			http.Redirect(w, r, "http://blobs.example.com/elsewhere", http.StatusTemporaryRedirect)
		})
	p := newPool(t)
	n.use(p, authority.pool())
	_, err := p.Client(repository(t, "oci://registry.example.com/app", false), Credentials{}).Resolve(t.Context(), selector(t, "", "latest", "", ""))
	wantReason(t, err, RegistryUnavailable)
	if len(tap.heard()) != 0 || n.reached("blobs.example.com:80") {
		t.Errorf("expected nobody to be asked over plain HTTP, heard %q", tap.heard())
	}
}

// serveTLS serves on loopback, and returns the address.
func serveTLS(t *testing.T, certificate tls.Certificate, handler http.HandlerFunc) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, listener, handler)
}

func serve(t *testing.T, listener net.Listener, handler http.HandlerFunc) string {
	t.Helper()
	server := &http.Server{Handler: handler, ErrorLog: discard, ReadHeaderTimeout: time.Minute}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
	return listener.Addr().String()
}

var discard = log.New(io.Discard, "", 0)
