package signing_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/cosign/v2/pkg/cosign"

	"github.com/assay-dev/assay/internal/signing"
)

const password = "correct horse"

// newSigner makes a private key.
func newSigner(t *testing.T, kind string) (signer crypto.Signer) {
	t.Helper()
	var err error
	switch kind {
	case "p256":
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		signer, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "p224":
		signer, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case "rsa":
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// keyFile is a private key as cosign import-key-pair writes it.
func keyFile(t *testing.T, signer crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "plain.key")
	writeFile(t, plain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	imported, err := cosign.ImportKeyPair(plain, func(bool) ([]byte, error) { return []byte(password), nil })
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cosign.key")
	writeFile(t, path, imported.PrivateBytes)
	return path
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func rightPassword() ([]byte, error) { return []byte(password), nil }

// newKey is a new key, loaded from its file.
func newKey(t *testing.T, kind string) *signing.Key {
	t.Helper()
	key, err := signing.LoadKey(t.Context(), keyFile(t, newSigner(t, kind)), rightPassword)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestGeneratedKeys: Cosign's library reads what is made here, with its password
// and with no other.
func TestGeneratedKeys(t *testing.T) {
	for name, secret := range map[string]string{"password": password, "no password": ""} {
		t.Run(name, func(t *testing.T) {
			pair, err := signing.GenerateKeys([]byte(secret))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(pair.Private), "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n") {
				t.Errorf("expected the PEM of Sigstore, found %.60q", pair.Private)
			}
			if _, err := cosign.LoadPrivateKey(pair.Private, []byte(secret), nil); err != nil {
				t.Error(err)
			}
			if _, err := cosign.LoadPrivateKey(pair.Private, []byte(secret+"x"), nil); err == nil {
				t.Error("another password decrypts it")
			}
			t.Setenv("SIGNING_KEY", string(pair.Private))
			key, err := signing.LoadKey(t.Context(), "env://SIGNING_KEY", func() ([]byte, error) { return []byte(secret), nil })
			if err != nil {
				t.Fatal(err)
			}
			if public, err := key.PublicPEM(); err != nil || string(public) != string(pair.Public) {
				t.Errorf("expected the public half, found %q, %v", public, err)
			}
		})
	}
}

// TestKeysThatAreRefused names what is wrong, asks for no password that it does
// not need, and repeats nothing of what it read.
func TestKeysThatAreRefused(t *testing.T) {
	signer := newSigner(t, "p256")
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	right, err := os.ReadFile(keyFile(t, signer))
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, content []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	}
	never := func() ([]byte, error) { t.Error("asked for a password"); return nil, nil }
	broken := errors.New("no terminal")
	for name, c := range map[string]struct {
		content  []byte
		password func() ([]byte, error)
		want     string
	}{
		"empty":          {nil, never, "found no PEM"},
		"text":           {[]byte("secret"), never, "found no PEM"},
		"not encrypted":  {block("PRIVATE KEY", der), never, "found another kind of private key: cosign import-key-pair makes one of it"},
		"public":         {block("PUBLIC KEY", der), never, "found a public key"},
		"certificate":    {block("CERTIFICATE", der), never, "found PEM of something else"},
		"too large":      {make([]byte, 64<<10+1), never, "expected a private key of at most 65536 bytes, found more"},
		"damaged":        {block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("secret")), rightPassword, "found one that cannot be read"},
		"wrong password": {right, func() ([]byte, error) { return []byte("wrong"), nil }, "the password does not decrypt the private key"},
		"no password":    {right, func() ([]byte, error) { return nil, broken }, "no terminal"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cosign.key")
			writeFile(t, path, c.content)
			_, err := signing.LoadKey(t.Context(), path, c.password)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("expected %q, found %v", c.want, err)
			}
		})
	}
	for reference, want := range map[string]string{
		"https://example.com/cosign.key": "found the URL of a web page",
		"env://NOT_SET":                  "environment variable NOT_SET, which is not set",
		"nokms://key":                    "loading the key nokms://key",
	} {
		if _, err := signing.LoadKey(t.Context(), reference, never); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected %q, found %v", reference, want, err)
		}
	}
	if _, err := signing.LoadKey(t.Context(), filepath.Join(t.TempDir(), "none"), never); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("expected no such file, found %v", err)
	}
}
