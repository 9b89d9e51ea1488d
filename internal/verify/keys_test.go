package verify_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/google/go-cmp/cmp"
)

// rsaPublic makes a public key of exactly this many bits, to which nobody has
// the private key: nothing is signed with it, and the sizes that matter here
// take seconds to make for real.
func rsaPublic(bits, exponent int) *rsa.PublicKey {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	if err != nil {
		panic(err)
	}
	n.SetBit(n, bits-1, 1)
	n.SetBit(n, 0, 1)
	return &rsa.PublicKey{N: n, E: exponent}
}

func ecdsaPublic(curve elliptic.Curve) *ecdsa.PublicKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return &key.PublicKey
}

func ed25519Public() ed25519.PublicKey {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return public
}

// subjectPublicKeyInfo is what `openssl pkey -pubin -outform
// DER` writes.
func subjectPublicKeyInfo(public any) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	return der
}

func block(blockType string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}))
}

func publicBlock(public any) string { return block("PUBLIC KEY", subjectPublicKeyInfo(public)) }

// Two keys that are good.
var (
	goodKey  = sync.OnceValue(func() *ecdsa.PublicKey { return ecdsaPublic(elliptic.P256()) })
	otherKey = sync.OnceValue(func() ed25519.PublicKey { return ed25519Public() })
)

func good() string  { return publicBlock(goodKey()) }
func other() string { return publicBlock(otherKey()) }

func fingerprintOf(public any) string { return "sha256:" + hexSum(subjectPublicKeyInfo(public)) }

func TestParseKeysAccepts(t *testing.T) {
	both := []string{fingerprintOf(goodKey()), fingerprintOf(otherKey())}
	kinds := map[string]any{
		"RSA2048":           rsaPublic(2048, 65537),
		"RSA3072":           rsaPublic(3072, 65537),
		"RSA4096":           rsaPublic(4096, 65537),
		"RSASmallExponent3": rsaPublic(2048, 3),
		"P256":              ecdsaPublic(elliptic.P256()),
		"P384":              ecdsaPublic(elliptic.P384()),
		"P521":              ecdsaPublic(elliptic.P521()),
		"Ed25519":           ed25519Public(),
	}
	tests := map[string]struct {
		reason string
		text   string
		want   []string
	}{
		"Two":         {"several keys may stand in one entry, in order", good() + other(), both},
		"CRLF":        {"files from Windows", strings.ReplaceAll(good()+other(), "\n", "\r\n"), both},
		"Surrounded":  {"editors and YAML add whitespace", "\n\t  \r\n" + good() + " \n\n\t" + other() + "\r\n \n", both},
		"NoNewline":   {"the last newline is often lost", strings.TrimSpace(good()), both[:1]},
		"Twice":       {"a key that stands twice is one key", good() + other() + good(), both},
		"Indented":    {"spaces after the lines of base64", strings.ReplaceAll(good(), "\n", " \n"), both[:1]},
		"SameAsPKCS1": {"one key in two encodings is one key", publicBlock(kinds["RSA2048"]) + pkcs1Block(kinds["RSA2048"]), []string{fingerprintOf(kinds["RSA2048"])}},
	}
	for name, public := range kinds {
		tests[name] = struct {
			reason string
			text   string
			want   []string
		}{"SubjectPublicKeyInfo", publicBlock(public), []string{fingerprintOf(public)}}
		if _, ok := public.(*rsa.PublicKey); ok {
			tests[name+"PKCS1"] = struct {
				reason string
				text   string
				want   []string
			}{"PKCS #1; the fingerprint is that of SubjectPublicKeyInfo all the same", pkcs1Block(public), []string{fingerprintOf(public)}}
		}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := verify.ParseKeys([]byte(tt.text))
			if err != nil {
				t.Fatalf("%s: %v", tt.reason, err)
			}
			if diff := cmp.Diff(tt.want, fingerprints(got)); diff != "" {
				t.Errorf("%s: fingerprints (-want +got):\n%s", tt.reason, diff)
			}
		})
	}
}

func pkcs1Block(public any) string {
	return block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(public.(*rsa.PublicKey)))
}

func fingerprints(keys []verify.Key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, k.Fingerprint())
	}
	return all
}

func TestFingerprintIsThatOfOpenSSL(t *testing.T) {
	const key = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYGQxmvStdvciivSlPzSLvlAveRE1
bY92iz49mm/DiMNGM2h3U3qh1xC2z6qJZmGftMjseewVg72bbL2M2WWmjg==
-----END PUBLIC KEY-----
`
	// openssl pkey -pubin -in key.pub -outform DER | sha256sum
	const want = "sha256:9559efd3f696bb03f58a25c126b8f682ee00936ae8ecd922295a16c6e3a15d2e"
	got, err := verify.ParseKeys([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{want}, fingerprints(got)); diff != "" {
		t.Errorf("fingerprint (-openssl +got):\n%s", diff)
	}
}

func TestParseKeysTakesAsManyAsAPolicy(t *testing.T) {
	var text strings.Builder
	var want []string
	for range verify.MaxKeys {
		public := rsaPublic(4096, 65537)
		text.WriteString(publicBlock(public))
		want = append(want, fingerprintOf(public))
	}
	got, err := verify.ParseKeys([]byte(text.String()))
	if err != nil {
		t.Fatalf("%d RSA keys of 4096 bits must fit: %v", verify.MaxKeys, err)
	}
	if !slices.Equal(want, fingerprints(got)) {
		t.Errorf("expected %d keys in order, found %d", len(want), len(got))
	}
}
