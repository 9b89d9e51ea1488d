package interop

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/sigstore"
	"github.com/assay-dev/assay/test/sigstored"
)

// assay runs the command line, and wants it to exit with a code.
func assay(t *testing.T, want int, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env, cmd.Dir = stack.Environment(), t.TempDir()
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if found := cmd.ProcessState.ExitCode(); found != want {
		t.Fatalf("assay %s: expected to exit with %d, found %d: %s%s", args[0], want, found, out.Bytes(), problems.Bytes())
	}
	return out.Bytes()
}

// url is the module by digest, for assay.
func (p pushed) url() string { return "oci://" + p.reference() }

// way is a way to sign with assay, and what it leads to.
type way struct {
	flags     func(t *testing.T) []string
	format    verify.Format
	log       sigstore.Log
	timestamp bool
}

// method is the way as that of a release of Cosign.
func (w way) method() method { return method{format: w.format, log: w.log, timestamp: w.timestamp} }

// sign signs what was pushed, and returns what is found there.
func (w way) sign(t *testing.T, p pushed, flags ...string) []verify.Signature {
	t.Helper()
	assay(t, 0, slices.Concat([]string{"sign", p.url(), "--insecure", "--yes", "--trusted-root", stack.TrustedRoot}, w.flags(t), flags)...)
	found := p.signatures(t)
	if len(found) != 1 || found[0].Format != w.format {
		t.Fatalf("expected one signature of format %s, found %+v", w.format, found)
	}
	return found
}

// witnesses are the servers that the flags of assay name, with Fulcio for
// identities.
func witnesses(format verify.Format, keyless bool, more ...string) func(*testing.T) []string {
	return func(*testing.T) []string {
		all := append([]string{"--signature-format", string(format)}, more...)
		if keyless {
			all = append(all, "--fulcio-url", stack.Fulcio)
		}
		return all
	}
}

// configured is a bundle, witnessed by the services of a signing configuration.
func configured(s sigstored.Services) func(*testing.T) []string {
	return func(t *testing.T) []string {
		t.Helper()
		return []string{"--signature-format", "bundle", "--signing-config", config(t, s)}
	}
}

// ways are those to sign with an identity, or with a key.
func ways(keyless bool) map[string]way {
	rekor, stamp := []string{"--rekor-url", stack.Rekor1}, []string{"--timestamp-server-url", stack.TSA}
	unlogged := append([]string{"--tlog-upload=false"}, stamp...)
	return map[string]way{
		"cosign": {witnesses(verify.FormatCosign, keyless, rekor...), verify.FormatCosign, sigstore.Rekor1, false},
		"cosign with a timestamp": {
			witnesses(verify.FormatCosign, keyless, slices.Concat(rekor, stamp)...), verify.FormatCosign, sigstore.Rekor1, true,
		},
		"cosign without a log": {witnesses(verify.FormatCosign, keyless, unlogged...), verify.FormatCosign, sigstore.NoLog, true},
		"bundle":               {witnesses(verify.FormatBundle, keyless, rekor...), verify.FormatBundle, sigstore.Rekor1, false},
		"bundle, Rekor v1":     {configured(sigstored.Services{Rekor1: true, TSA: true}), verify.FormatBundle, sigstore.Rekor1, true},
		"bundle, Rekor v2":     {configured(sigstored.Services{Rekor2: true, TSA: true}), verify.FormatBundle, sigstore.Rekor2, true},
		"bundle without a log": {witnesses(verify.FormatBundle, keyless, unlogged...), verify.FormatBundle, sigstore.NoLog, true},
	}
}

// What assay signs with an identity, both releases of Cosign accept from that
// identity, and so does the controller.
func TestAssaySignsKeyless(t *testing.T) {
	needs(t)
	for name, w := range ways(true) {
		for who, person := range people {
			// A registry of either kind does the same with whoever signs.
			kind := map[bool]string{true: "distribution", false: "referrers"}[who == "email"]
			t.Run(name+"/"+who+"/"+kind, func(t *testing.T) {
				t.Parallel()
				p, signer := push(t, kind), person()
				found := w.sign(t, p, "--identity-token", token(t, signer))
				wantAccepted(t, w.method(), p, found, signer.Identity)
				wantRefused(t, w.method(), p, found, signer.Identity)
				other := signer.Identity
				other.Subject = "x" + other.Subject
				wantCosign(t, p, w.timestamp, w.unlogged(byIdentity(signer.Identity)), w.unlogged(byIdentity(other)))
			})
		}
	}
}

// unlogged adds what Cosign has to be told of a signature that no log recorded.
func (w way) unlogged(flags []string) []string {
	if w.log == sigstore.NoLog {
		return append(slices.Clone(flags), "--insecure-ignore-tlog")
	}
	return flags
}

// What assay signs with a key, both releases of Cosign accept, whoever of the
// three made it.
func TestAssaySignsWithKeys(t *testing.T) {
	needs(t)
	ownKey := func(t *testing.T) pair {
		t.Helper()
		prefix := filepath.Join(t.TempDir(), "release")
		assay(t, 0, "keys", "generate", "--output-key-prefix", prefix)
		return pair{prefix + ".key", prefix + ".pub"}
	}
	for maker, newKey := range map[string]func(*testing.T) pair{
		"assay":   ownKey,
		"cosign2": func(t *testing.T) pair { t.Helper(); return generated(t, sigstored.Cosign2) },
		"cosign3": func(t *testing.T) pair { t.Helper(); return generated(t, sigstored.Cosign3) },
	} {
		t.Run(maker, func(t *testing.T) {
			t.Parallel()
			key, stranger := newKey(t), ownKey(t)
			for name, w := range ways(false) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					p := push(t, "referrers")
					wantKey(t, w.method(), p, w.sign(t, p, "--cosign-key", key.private), key.publicPEM(t))
					wantCosign(t, p, false, w.unlogged([]string{"--key", key.public}), w.unlogged([]string{"--key", stranger.public}))
				})
			}
			// With this key, Cosign signs as with its own.
			for _, release := range releases {
				eachWay(t, release, "signed by", func(t *testing.T, _ string, m method) {
					p := push(t, "referrers")
					wantKey(t, m, p, m.sign(t, p, "--key", key.private), key.publicPEM(t))
				})
			}
		})
	}
}

// The command line says of what Cosign signed what the controller would.
func TestAssayVerifies(t *testing.T) {
	needs(t)
	for name, m := range keyless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, signer := push(t, "referrers"), stack.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0")
			m.sign(t, p, "--identity-token", token(t, signer))
			asked := []string{"verify", p.url(), "--insecure", "--trusted-root", stack.TrustedRoot}
			if m.log == sigstore.NoLog {
				asked = append(asked, "--insecure-ignore-tlog")
			}
			assay(t, 0, slices.Concat(asked, byIdentity(signer.Identity))...)
			other := signer.Identity
			other.Subject = "x" + other.Subject
			assay(t, 1, slices.Concat(asked, byIdentity(other))...)
		})
	}
}

// What assay pushes and signs in one go, both releases of Cosign verify by its
// tags.
func TestAssayPushes(t *testing.T) {
	needs(t)
	for name, w := range ways(true) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := testregistry.Referrers(testregistry.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Close() })
			signer := stack.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0")
			assay(t, 0, slices.Concat([]string{
				"push", folder(t), "oci://" + server.Host() + "/app", "--version", "1.0.0", "--insecure",
				"--sign", "cosign", "--yes", "--identity-token", token(t, signer), "--trusted-root", stack.TrustedRoot,
			}, w.flags(t))...)
			for _, tag := range []string{"1.0.0", "latest"} {
				digest, err := crane.Digest(server.Host()+"/app:"+tag, crane.Insecure)
				if err != nil {
					t.Fatal(err)
				}
				p := pushed{registry: server, digest: digest}
				wantCosign(t, p, w.timestamp, w.unlogged(byIdentity(signer.Identity)))
			}
		})
	}
}

// folder is a small module, as somebody has it on disk.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range fixtures.Module() {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
