package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/assay-dev/assay/internal/signing"
	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/sigstore"
	"github.com/assay-dev/assay/test/sigstore/server"
)

// signingWorld is a registry with an app, a Sigstore, and a key.
type signingWorld struct {
	registry  *testregistry.Server
	services  *server.Servers
	url, root string
	key, pub  string
	digest    string
}

const keyPassword = "correct horse"

var signerOf = sigstore.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0")

func newSigningWorld(t *testing.T) *signingWorld {
	t.Helper()
	withoutTokens(t)
	s, err := sigstore.New()
	if err != nil {
		t.Fatal(err)
	}
	w := &signingWorld{services: server.Start(s)}
	t.Cleanup(w.services.Close)
	if w.registry, err = testregistry.Referrers(testregistry.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.registry.Close() })
	image, err := module.New(module.Options{Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if w.digest, err = module.Push(t.Context(), w.registry.Host()+"/app:1.0.0", image); err != nil {
		t.Fatal(err)
	}
	w.url = "oci://" + w.registry.Host() + "/app"
	folder := t.TempDir()
	pair, err := signing.GenerateKeys([]byte(keyPassword))
	if err != nil {
		t.Fatal(err)
	}
	for path, file := range map[string]struct {
		content []byte
		name    *string
	}{
		"root.json": {s.TrustedRoot(), &w.root}, "cosign.key": {pair.Private, &w.key}, "cosign.pub": {pair.Public, &w.pub},
	} {
		*file.name = filepath.Join(folder, path)
		if err := os.WriteFile(*file.name, file.content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// withoutTokens takes away what a CI provider gives.
func withoutTokens(t *testing.T) {
	t.Helper()
	for _, name := range []string{"SIGSTORE_ID_TOKEN", "COSIGN_PASSWORD", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "BUILDKITE_AGENT_ACCESS_TOKEN"} {
		t.Setenv(name, "") // It comes back at the end.
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

func tokenAtNoon() string { return server.TokenUntil(signerOf, noon.Add(time.Minute)) }

// ownServices are the flags of the services of the test.
func (w *signingWorld) ownServices() []string {
	return []string{"--fulcio-url", w.services.URL(server.Fulcio), "--rekor-url", w.services.URL(server.Rekor1), "--trusted-root", w.root, "--yes"}
}

func (w *signingWorld) sign(t *testing.T, args ...string) ran {
	t.Helper()
	return assay(t, append([]string{"sign", w.url, "--version", "1.0.0", "--insecure"}, args...)...)
}

// verify verifies with the log required.
func (w *signingWorld) verify(t *testing.T, args ...string) ran {
	t.Helper()
	return assay(t, append([]string{"verify", w.url, "--version", "1.0.0", "--insecure", "--trusted-root", w.root}, args...)...)
}

// unsigned fails unless nothing was signed or recorded.
func (w *signingWorld) unsigned(t *testing.T) {
	t.Helper()
	if got := w.verify(t, "--cosign-key", w.pub, "--insecure-ignore-tlog"); got.code != exitRefused || !strings.Contains(got.out+got.err, "NoSignature") {
		t.Errorf("expected no signature, found exit %d: %s%s", got.code, got.out, got.err)
	}
	if n := w.services.Asked(server.Rekor1) + w.services.Asked(server.Fulcio); n != 0 {
		t.Errorf("%d requests to services", n)
	}
}

// replaced is what differs from run to run.
func (w *signingWorld) replaced(text string) string {
	text = strings.NewReplacer(
		w.registry.Host(), "REGISTRY", w.digest, "sha256:DIGEST", w.key, "cosign.key", filepath.Dir(w.key), "FOLDER",
		w.services.URL(server.Fulcio), "https://fulcio.example", w.services.URL(server.Rekor1), "https://rekor.example", w.services.URL(server.TSA), "https://tsa.example",
	).Replace(text)
	text = regexp.MustCompile(`sha256:[0-9a-f]{64}`).ReplaceAllString(text, "sha256:FINGERPRINT")
	text = regexp.MustCompile(`\b[0-9a-f]{64}\b`).ReplaceAllString(text, "LOG")
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).ReplaceAllString(text, "TIME")
	return regexp.MustCompile(`(index"?:? )\d+`).ReplaceAllString(text, "${1}INDEX")
}

// TestSign signs in both formats, by key and keyless, and has the verdict on it
// by the right policy and by a wrong one.
func TestSign(t *testing.T) {
	stranger, err := signing.GenerateKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.pub")
	if err := os.WriteFile(other, stranger.Public, 0o600); err != nil {
		t.Fatal(err)
	}
	identity := func(subject string) []string {
		return []string{"--certificate-identity", subject, "--certificate-oidc-issuer", signerOf.Issuer}
	}
	for _, format := range []string{"cosign", "bundle"} {
		for who, keyless := range map[string]bool{"key": false, "keyless": true} {
			for output, flags := range map[string][]string{"txt": nil, "json": {"-o", "json"}, "yaml": {"-o", "yaml"}} {
				t.Run(format+"/"+who+"/"+output, func(t *testing.T) {
					w := newSigningWorld(t)
					args := append(w.ownServices(), "--signature-format", format, "--timestamp-server-url", w.services.URL(server.TSA))
					right, wrong := []string{"--cosign-key", w.pub}, []string{"--cosign-key", other}
					if keyless {
						t.Setenv("SIGSTORE_ID_TOKEN", tokenAtNoon())
						right, wrong = identity(signerOf.Subject), identity(signerOf.Subject+"x")
					} else {
						t.Setenv("COSIGN_PASSWORD", keyPassword)
						args = slices.Concat(args[2:], []string{"--cosign-key", w.key})
					}
					got := w.sign(t, slices.Concat(args, flags)...)
					if got.code != exitOK {
						t.Fatalf("exit %d: %s", got.code, got.err)
					}
					golden(t, "sign/"+format+"-"+who+"."+output, w.replaced(got.out))
					if verdict := w.verify(t, right...); verdict.code != exitOK {
						t.Errorf("refused: %s%s", verdict.out, verdict.err)
					}
					if verdict := w.verify(t, wrong...); verdict.code != exitRefused {
						t.Errorf("by another: expected to be refused, found exit %d: %s%s", verdict.code, verdict.out, verdict.err)
					}
				})
			}
		}
	}
}

// TestSignUsage: each command line that makes no sense says what to type instead,
// and nothing is asked of a service or left in the registry.
func TestSignUsage(t *testing.T) {
	w := newSigningWorld(t)
	folder := filepath.Dir(w.key)
	config := filepath.Join(folder, "config.json")
	rekor2 := fmt.Sprintf(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",
		"rekorTlogUrls":[{"url":%q,"majorApiVersion":2,"validFor":{"start":"2024-01-01T00:00:00Z"},"operator":"example"}],"rekorTlogConfig":{"selector":"ANY"}}`, w.services.URL(server.Rekor2))
	for name, content := range map[string]string{"config.json": rekor2, "text": "secret", "token": "secret.secret.secret"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own := w.ownServices()
	keyless, key := own, slices.Concat(own[2:], []string{"--cosign-key", w.key})
	var all strings.Builder
	cases := map[string]struct {
		args     []string
		password string
	}{
		"neither key nor token":           {keyless, ""},
		"token that is none":              {slices.Concat(keyless, []string{"--identity-token", "secret"}), ""},
		"token of three parts":            {slices.Concat(keyless, []string{"--identity-token", "secret.secret.secret"}), ""},
		"token file with something else":  {slices.Concat(keyless, []string{"--identity-token", filepath.Join(folder, "text")}), ""},
		"token that expired":              {slices.Concat(keyless, []string{"--identity-token", server.TokenUntil(signerOf, noon.Add(-time.Minute))}), ""},
		"key and token":                   {slices.Concat(key, []string{"--identity-token", tokenAtNoon()}), keyPassword},
		"key and fulcio":                  {slices.Concat(key, []string{"--fulcio-url", "https://fulcio.example"}), keyPassword},
		"no password":                     {key, ""},
		"wrong password":                  {key, "wrong"},
		"no such key":                     {slices.Concat(own[2:], []string{"--cosign-key", filepath.Join(folder, "none.key")}), keyPassword},
		"public key":                      {slices.Concat(own[2:], []string{"--cosign-key", w.pub}), keyPassword},
		"unknown format":                  {slices.Concat(key, []string{"--signature-format", "v3"}), keyPassword},
		"not agreed":                      {[]string{"--cosign-key", w.key}, keyPassword},
		"no such trusted root":            {slices.Concat(key, []string{"--trusted-root", filepath.Join(folder, "none.json")}), keyPassword},
		"trusted root of something else":  {slices.Concat(key, []string{"--trusted-root", filepath.Join(folder, "text")}), keyPassword},
		"no such config":                  {[]string{"--cosign-key", w.key, "--signing-config", filepath.Join(folder, "none.json")}, keyPassword},
		"config of something else":        {[]string{"--cosign-key", w.key, "--signing-config", filepath.Join(folder, "text")}, keyPassword},
		"config and URL":                  {slices.Concat(key, []string{"--signing-config", config}), keyPassword},
		"config, rekor 2 in format":       {[]string{"--cosign-key", w.key, "--signing-config", config}, keyPassword},
		"keyless without a time":          {[]string{"--fulcio-url", "https://fulcio.example", "--tlog-upload=false", "--identity-token", tokenAtNoon()}, ""},
		"log and no log":                  {slices.Concat(key, []string{"--tlog-upload=false"}), keyPassword},
		"two timestamps in the v2 format": {slices.Concat(key, []string{"--timestamp-server-url", "https://a.example", "--timestamp-server-url", "https://b.example"}), keyPassword},
		"no URL":                          {[]string{"--cosign-key", w.key, "--rekor-url", "rekor.example"}, keyPassword},
		"password in a URL":               {[]string{"--fulcio-url", "https://user:secret@fulcio.example"}, ""},
		"unknown output":                  {slices.Concat(key, []string{"-o", "xml"}), keyPassword},
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		if c.password != "" {
			t.Setenv("COSIGN_PASSWORD", c.password)
		} else if err := os.Unsetenv("COSIGN_PASSWORD"); err != nil {
			t.Fatal(err)
		}
		got := w.sign(t, c.args...)
		want := exitUsage
		if name == "token that expired" {
			want = exitFailed
		}
		if got.code != want || got.out != "" || strings.Contains(got.err, "secret") {
			t.Errorf("%s: expected exit %d, found %d: %s%s", name, want, got.code, got.out, got.err)
		}
		fmt.Fprintf(&all, "# %s\n%s\n", name, w.replaced(got.err))
	}
	golden(t, "sign/usage.txt", all.String())
	w.unsigned(t)
}

// TestSignAsks: on a terminal, a person is asked for the password and whether what
// is recorded may be.
func TestSignAsks(t *testing.T) {
	for name, c := range map[string]struct {
		password, answer string
		code             int
		wants            []string
	}{
		"yes":            {keyPassword, "y\n", exitOK, []string{"Password for the private key: ", "[y/N]", "recorded for good by"}},
		"no":             {keyPassword, "n\n", exitFailed, []string{"[y/N]", "not confirmed: nothing was done"}},
		"nothing":        {keyPassword, "", exitFailed, []string{"not confirmed: nothing was done"}},
		"wrong password": {"wrong", "y\n", exitUsage, []string{"the password does not decrypt the private key"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSigningWorld(t)
			term, out, stderr := fakeTerminal()
			term.canAsk, term.in = true, strings.NewReader(c.answer)
			asked := 0
			term.password = func() ([]byte, error) { asked++; return []byte(c.password), nil }
			code := run(t.Context(), term, []string{"sign", w.url, "--insecure", "--cosign-key", w.key, "--rekor-url", w.services.URL(server.Rekor1)})
			if code != c.code || asked != 1 {
				t.Errorf("expected exit %d, found %d, asked %d times for the password: %s%s", c.code, code, asked, out, stderr)
			}
			for _, want := range c.wants {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("expected %q, found %q", want, stderr)
				}
			}
			if c.code != exitOK {
				w.unsigned(t)
			}
		})
	}
}

// TestSignStates: to whom the public instance belongs is said before anything is
// sent to it.
func TestSignStates(t *testing.T) {
	w := newSigningWorld(t)
	t.Setenv("COSIGN_PASSWORD", keyPassword)
	got := w.sign(t, "--cosign-key", w.key) // It is not agreed to.
	if got.code != exitUsage || !strings.Contains(got.err, "https://lfprojects.org/policies/hosted-project-tools-immutable-records/") {
		t.Errorf("expected the statement of the public instance, found exit %d: %s", got.code, got.err)
	}
	w.unsigned(t)
	if got := w.sign(t, "--cosign-key", w.key, "--tlog-upload=false"); got.code != exitOK || strings.Contains(got.err, "lfprojects") {
		t.Errorf("expected nothing to be stated where nothing is recorded, found exit %d: %s", got.code, got.err)
	}
}

// TestSignToken takes a token from the flag and from a file.
func TestSignToken(t *testing.T) {
	w := newSigningWorld(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(tokenAtNoon()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"flag": tokenAtNoon(), "file": file} {
		if got := w.sign(t, append(w.ownServices(), "--identity-token", token)...); got.code != exitOK {
			t.Errorf("%s: exit %d: %s", name, got.code, got.err)
		}
	}
}

// TestSignFailures: what goes wrong after the flags were right leaves nothing, and
// no token in the message.
func TestSignFailures(t *testing.T) {
	w := newSigningWorld(t)
	token := tokenAtNoon()
	args := append(w.ownServices(), "--identity-token", token)
	other, err := sigstore.New()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "root.json")
	if err := os.WriteFile(root, other.TrustedRoot(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"another root":   {slices.Concat(args, []string{"--trusted-root", root}), exitRefused, "nothing was attached: what was signed is refused before it is attached"},
		"no such digest": {slices.Concat(args, []string{"--digest", "sha256:" + strings.Repeat("0", 64)}), exitRefused, "DigestMismatch"},
		"no Rekor":       {slices.Concat(args, []string{"--rekor-url", "http://127.0.0.1:1"}), exitFailed, "the transparency log http://127.0.0.1:1: "},
		"no Fulcio":      {slices.Concat(args, []string{"--fulcio-url", "http://127.0.0.1:1"}), exitFailed, "the certificate authority http://127.0.0.1:1: "},
	} {
		got := w.sign(t, c.args...)
		if got.code != c.code || got.out != "" || !strings.Contains(got.err, c.want) || strings.Contains(got.err, token[:30]) {
			t.Errorf("%s: expected exit %d and %q, found %d: %s%s", name, c.code, c.want, got.code, got.out, got.err)
		}
	}
	if got := assay(t, append([]string{"sign", w.url, "--insecure", "--digest", "sha256:" + strings.Repeat("0", 64)}, args...)...); got.code != exitFailed || !strings.Contains(got.err, "VersionNotFound") {
		t.Errorf("expected not to be found, found exit %d: %s", got.code, got.err)
	}
	if got := w.verify(t, "--certificate-identity", signerOf.Subject, "--certificate-oidc-issuer", signerOf.Issuer); got.code != exitRefused || !strings.Contains(got.out, "NoSignature") {
		t.Errorf("expected no signature, found exit %d: %s", got.code, got.out)
	}
}

// TestSigningFlagsForPush: what push calls says no before anything is pushed, and
// signs a digest after.
func TestSigningFlagsForPush(t *testing.T) {
	w := newSigningWorld(t)
	term, _, stderr := fakeTerminal()
	asked := 0
	term.canAsk, term.in = true, strings.NewReader("y\n")
	term.password = func() ([]byte, error) { asked++; return []byte(keyPassword), nil }
	flags := pflag.NewFlagSet("push", pflag.ContinueOnError)
	signer := addSigningFlags(flags)
	if err := flags.Parse([]string{"--cosign-key", w.key, "--signature-format", "bundle", "--rekor-url", w.services.URL(server.Rekor1)}); err != nil {
		t.Fatal(err)
	}
	if err := signer.check(t.Context(), term); err != nil {
		t.Fatal(err)
	}
	w.unsigned(t)
	wanted, err := (&targetFlags{version: "1.0.0"}).parse(&registryFlags{insecure: true}, w.url)
	if err != nil {
		t.Fatal(err)
	}
	result, err := signer.sign(t.Context(), term, &registryFlags{insecure: true}, wanted.repository, w.digest)
	if err != nil {
		t.Fatal(err)
	}
	if result.Digest != w.digest || asked != 1 || strings.Count(stderr.String(), "[y/N]") != 1 {
		t.Errorf("signed %s, asked %d times for the password: %s", result.Digest, asked, stderr)
	}
	if got := w.verify(t, "--cosign-key", w.pub); got.code != exitOK {
		t.Errorf("refused: %s", got.out)
	}
}
