package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
	"github.com/assay-dev/assay/test/sigstored"
)

// keyed are the ways to sign with a key.
var keyed = map[string]method{
	"cosign2": {
		release: sigstored.Cosign2, flags: rekorOnly(), format: verify.FormatCosign, log: sigstore.Rekor1,
	},
	"cosign2 without a log": {
		release: sigstored.Cosign2, flags: flags("--tlog-upload=false"), format: verify.FormatCosign,
	},
	"cosign2 bundle": {
		release: sigstored.Cosign2, flags: rekorOnly("--new-bundle-format"), format: verify.FormatBundle, log: sigstore.Rekor1,
	},
	"cosign2 bundle without a log": {
		release: sigstored.Cosign2, flags: flags("--new-bundle-format", "--tlog-upload=false"), format: verify.FormatBundle,
	},
	"cosign3 as cosign2": {
		release: sigstored.Cosign3, flags: rekorOnly("--new-bundle-format=false", "--use-signing-config=false"),
		format: verify.FormatCosign, log: sigstore.Rekor1,
	},
	"cosign3 Rekor v1": {
		release: sigstored.Cosign3, flags: services(sigstored.Services{Rekor1: true}), format: verify.FormatBundle, log: sigstore.Rekor1,
	},
	"cosign3 Rekor v2": {
		release: sigstored.Cosign3, flags: services(sigstored.Services{Rekor2: true, TSA: true}),
		format: verify.FormatBundle, log: sigstore.Rekor2, timestamp: true,
	},
	"cosign3 without a log": {
		release: sigstored.Cosign3, flags: services(sigstored.Services{}), format: verify.FormatBundle,
	},
}

func rekorOnly(more ...string) func(*testing.T) []string {
	return func(*testing.T) []string { return append([]string{"--rekor-url", stack.Rekor1}, more...) }
}

// pair is a key pair in files of Cosign's.
type pair struct{ private, public string }

// generated is a key pair that a release of Cosign makes.
func generated(t *testing.T, release sigstored.Cosign) pair {
	t.Helper()
	prefix := filepath.Join(t.TempDir(), "cosign")
	cosign(t, release, "generate-key-pair", "--output-key-prefix", prefix)
	return pair{prefix + ".key", prefix + ".pub"}
}

// imported is a key pair that a release of Cosign takes from elsewhere.
func imported(t *testing.T, release sigstored.Cosign, key crypto.Signer) pair {
	t.Helper()
	content, err := cryptoutils.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "imported")
	cosign(t, release, "import-key-pair", "--key", file, "--output-key-prefix", prefix)
	return pair{prefix + ".key", prefix + ".pub"}
}

// publicPEM is the public half, as it stands in a ModuleSource.
func (p pair) publicPEM(t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile(p.public)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// holding is a policy that trusts one key.
func holding(t *testing.T, public []byte, parts sigstore.Roots, log verify.LogMode) verify.Policy {
	t.Helper()
	keys, err := verify.ParseKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	return verify.Policy{Threshold: 1, Authorities: []verify.Authority{{
		Name: "key", Keys: keys, TransparencyLog: log, Root: root(t, parts),
	}}}
}

// What Cosign signs with a key is accepted from that key, with its entry in a log
// if it has one, and from no other.
func TestKeys(t *testing.T) {
	needs(t)
	stranger, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			key := generated(t, release)
			for kind := range registries {
				eachWay(t, release, kind, func(t *testing.T, _ string, m method) {
					p := push(t, kind)
					found := m.sign(t, p, "--key", key.private)
					wantKey(t, m, p, found, key.publicPEM(t))
					refused(t, holding(t, stranger.PublicPEM(), stack.Sigstore.Roots(), m.mode()), p.digest, found, verify.ReasonKeyMismatch)
				})
			}
		})
	}
}

var releases = []sigstored.Cosign{sigstored.Cosign2, sigstored.Cosign3}

// eachWay runs a test for each way in which a release signs with a key.
func eachWay(t *testing.T, release sigstored.Cosign, about string, test func(t *testing.T, name string, m method)) {
	t.Helper()
	for name, m := range keyed {
		if m.release != release {
			continue
		}
		t.Run(about+"/"+name, func(t *testing.T) {
			t.Parallel()
			test(t, name, m)
		})
	}
}

// wantKey wants signatures by a key to be accepted, and refused for what they are
// not.
func wantKey(t *testing.T, m method, p pushed, found []verify.Signature, public []byte) {
	t.Helper()
	ours := stack.Sigstore.Roots()
	signer := accepted(t, holding(t, public, ours, m.mode()), p.digest, found)
	if signer.Format != m.format || signer.KeyFingerprint == "" || (signer.Log == nil) != (m.log == sigstore.NoLog) {
		t.Errorf("unlikely evidence %+v", signer)
	}
	accepted(t, holding(t, public, ours, verify.LogIgnore), p.digest, found)
	const otherDigest = "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"
	refused(t, holding(t, public, ours, m.mode()), otherDigest, found, verify.ReasonSignatureInvalid)
	if m.log == sigstore.NoLog {
		refused(t, holding(t, public, ours, verify.LogRequire), p.digest, found, verify.ReasonTransparencyLogMissing)
		return
	}
	other := ours
	other.Rekor1, other.Rekor2 = stranger, stranger
	refused(t, holding(t, public, other, verify.LogRequire), p.digest, found, verify.ReasonTransparencyLogInvalid)
}

// outcome is what becomes of signing in some way with some kind of key.
type outcome int

const (
	isAccepted outcome = iota
	// Cosign itself fails to sign.
	isNotMade
	// No release of Cosign verifies what it signed, and Assay does not either.
	isRefused
)

// outcomes are those of keys that Cosign did not make, where they are not
// accepted. With the keys of the larger curves and with Ed25519, Cosign hashes in
// one way, and has it logged or checked in another.
var outcomes = map[string]map[string]outcome{
	"cosign2":               {"P-384": isNotMade, "P-521": isNotMade, "Ed25519": isNotMade},
	"cosign2 bundle":        {"P-384": isNotMade, "P-521": isNotMade, "Ed25519": isNotMade},
	"cosign3 as cosign2":    {"P-384": isRefused, "P-521": isRefused, "Ed25519": isRefused},
	"cosign3 Rekor v1":      {"P-384": isNotMade, "P-521": isNotMade, "Ed25519": isNotMade},
	"cosign3 Rekor v2":      {"Ed25519": isNotMade},
	"cosign3 without a log": {"Ed25519": isNotMade},
}

var makers = map[string]func() (crypto.Signer, error){
	"RSA":     func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	"P-256":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	"P-384":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
	"P-521":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
	"Ed25519": func() (crypto.Signer, error) { _, key, err := ed25519.GenerateKey(rand.Reader); return key, err },
}

// Of the signatures with keys that Cosign did not make, Assay accepts those that
// Cosign does.
func TestImportedKeys(t *testing.T) {
	needs(t)
	for _, release := range releases {
		for kind, newKey := range makers {
			t.Run(string(release)+"/"+kind, func(t *testing.T) {
				t.Parallel()
				key, err := newKey()
				if err != nil {
					t.Fatal(err)
				}
				files := imported(t, release, key)
				eachWay(t, release, "referrers", func(t *testing.T, name string, m method) {
					wantOutcome(t, m, files, outcomes[name][kind])
				})
			})
		}
	}
}

func wantOutcome(t *testing.T, m method, key pair, want outcome) {
	t.Helper()
	p := push(t, "referrers")
	switch want {
	case isAccepted:
		wantKey(t, m, p, m.sign(t, p, "--key", key.private), key.publicPEM(t))
	case isNotMade:
		if _, err := stack.Cosign(t.Context(), m.release, "sign", m.args(t, p, "--key", key.private)...); err == nil {
			t.Error("expected Cosign to fail, and it signed")
		}
	case isRefused:
		found := m.sign(t, p, "--key", key.private)
		refused(t, holding(t, key.publicPEM(t), stack.Sigstore.Roots(), m.mode()), p.digest, found, verify.ReasonTransparencyLogInvalid)
		for _, release := range releases {
			if _, err := stack.Cosign(t.Context(), release, "verify", checks(p, "--key", key.public)...); err == nil {
				t.Errorf("expected %s to refuse it, and it accepted", release)
			}
		}
	}
}

// publicFile is a file with a public key.
func publicFile(t *testing.T, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cosign.pub")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
