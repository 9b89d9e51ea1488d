// Package interop holds Assay to the real thing: what the two releases of Cosign
// that are in use sign with a real Sigstore, Assay verifies, and refuses from
// anybody else.
//
// Where the programs cannot be built, the tests are skipped, unless
// ASSAY_INTEROP=require: see test/sigstored.
package interop

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/sigstore"
	"github.com/assay-dev/assay/test/sigstored"
)

// What the tests share: the Sigstore that everybody signs with, one that nobody
// signs with, and the built cmd/assay. stack is nil, and unavailable says why,
// where there is none.
var (
	stack       *sigstored.Stack
	unavailable error
	stranger    *sigstore.Sigstore
	program     string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	var err error
	stack, err = sigstored.Start(context.Background(), os.Stderr)
	if sigstored.MaySkip(err) {
		fmt.Fprintln(os.Stderr, "WARNING: nothing is tested here:", err)
		unavailable = err
		return m.Run()
	}
	if err == nil {
		stranger, err = sigstore.New()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	folder, err := os.MkdirTemp("", "assay-interop-")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		program, err = build(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	if code != 0 {
		fmt.Fprintln(os.Stderr, stack.Logs())
	}
	if err := stack.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := goleak.Find(goleak.IgnoreTopFunction(testregistry.DistributionGoroutine)); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// build builds cmd/assay, never with the race detector, which would be another
// build of everything.
func build(folder string) (string, error) {
	file := filepath.Join(folder, "assay")
	cmd := exec.Command("go", "build", "-o", file, "../../cmd/assay")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building assay: %w\n%s", err, out)
	}
	return file, nil
}

// needs skips a test where there is no Sigstore, and lets it run beside others.
func needs(t *testing.T) {
	t.Helper()
	if stack == nil {
		t.Skip(unavailable)
	}
	t.Parallel()
}

// cosign runs a release of Cosign, which must not fail.
func cosign(t *testing.T, release sigstored.Cosign, command string, args ...string) []byte {
	t.Helper()
	out, err := stack.Cosign(t.Context(), release, command, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// token is an ID token of somebody.
func token(t *testing.T, who sigstored.Person) string {
	t.Helper()
	made, err := stack.Token(who)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// config is a file with a signing configuration.
func config(t *testing.T, services sigstored.Services) string {
	t.Helper()
	content, err := stack.SigningConfig(services)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "signing_config.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// pushed is a module in a registry.
type pushed struct {
	registry *testregistry.Server
	digest   string
}

// registries are both kinds: without the referrers API, and with it.
var registries = map[string]func(testregistry.Options) (*testregistry.Server, error){
	"distribution": testregistry.Distribution,
	"referrers":    testregistry.Referrers,
}

// push pushes a module to a registry of its own.
func push(t *testing.T, kind string) pushed {
	t.Helper()
	server, err := registries[kind](testregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	image, err := module.New(module.Options{Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := module.Push(t.Context(), server.Host()+"/app:1.0.0", image)
	if err != nil {
		t.Fatal(err)
	}
	return pushed{registry: server, digest: digest}
}

// reference is the module by digest.
func (p pushed) reference() string { return p.registry.Host() + "/app@" + p.digest }

// signatures are what the controller finds at the module. What a pool remembers
// of a registry is not asked for here: the next one may be at its address.
func (p pushed) signatures(t *testing.T) []verify.Signature {
	t.Helper()
	pool := registry.NewPool(registry.Options{
		UserAgent: "assay-test", Now: time.Now, DialAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	defer pool.Close()
	repository, err := registry.ParseRepository("oci://"+p.registry.Host()+"/app", true)
	if err != nil {
		t.Fatal(err)
	}
	client := pool.Client(repository, registry.Credentials{})
	defer client.Close()
	found, err := client.Signatures(t.Context(), p.digest)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
