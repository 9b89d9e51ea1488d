package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/assay-dev/assay/test/registry"
)

// TestProxy: what is pushed, signed, read and pulled goes through the proxy of
// the environment, which alone knows where the registry is.
func TestProxy(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server.Host()})
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Host)
		mu.Unlock()
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	prefix := newKeyPair(t)
	const module = "oci://registry.example/app"
	for _, args := range [][]string{
		{"push", moduleFolder(t, nil), module, "--version", "1.0.0"},
		{"sign", module, "--cosign-key", prefix + ".key", "--tlog-upload=false"},
		{"verify", module, "--cosign-key", prefix + ".pub", "--insecure-ignore-tlog"},
		{"pull", module, "--output", filepath.Join(t.TempDir(), "pulled"), "--verify", "cosign", "--cosign-key", prefix + ".pub", "--insecure-ignore-tlog"},
	} {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		// A process of its own: net/http reads the environment once.
		command := exec.CommandContext(t.Context(), self, append(args, "--insecure")...)
		command.Env = append(os.Environ(), runMain+"=1", "HTTP_PROXY="+proxy.URL)
		mu.Lock()
		asked = nil
		mu.Unlock()
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, out)
		}
		mu.Lock()
		if !slices.Contains(asked, "registry.example") {
			t.Errorf("%s: expected the proxy to be asked for registry.example, found %q", args[0], asked)
		}
		mu.Unlock()
	}
}
