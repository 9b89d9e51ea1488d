package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// maxPEMBytes bounds the PEM text of one entry; MaxKeys RSA-4096 keys fit.
const maxPEMBytes = 64 << 10

// Key is a public key that may sign. Only [ParseKeys] makes one.
type Key struct {
	fingerprint string
	// verifiers are the ways in which signatures by this key are found in the
	// wild: over SHA-256, over the curve's own hash, pure Ed25519 and
	// Ed25519ph. They cannot be mistaken for one another, because each
	// commits to its own hash of the message.
	verifiers []signature.Verifier
}

// Fingerprint is "sha256:" and the hexadecimal SHA-256 of the DER encoded
// SubjectPublicKeyInfo (RFC 5280, section 4.1).
func (k Key) Fingerprint() string { return k.fingerprint }

// ParseKeys reads one or more public keys from PEM text: RSA of 2048, 3072 or
// 4096 bits, ECDSA on P-256, P-384 or P-521, or Ed25519, as SubjectPublicKeyInfo
// ("PUBLIC KEY") or PKCS #1 ("RSA PUBLIC KEY"). Anything else in the text is an
// error, which names the block's position and never repeats its content, so
// that a private key stored by mistake does not reach a log. A key that
// stands twice is returned once.
func ParseKeys(text []byte) ([]Key, error) {
	if len(text) > maxPEMBytes {
		return nil, fmt.Errorf("expected at most %d bytes of PEM, found %d", maxPEMBytes, len(text))
	}
	var keys []Key
	seen := map[string]bool{}
	rest := bytes.TrimSpace(text)
	for n := 1; len(rest) > 0; n++ {
		if n > MaxKeys {
			return nil, fmt.Errorf("expected at most %d keys, found more", MaxKeys)
		}
		block, after := pem.Decode(rest)
		if err := wholeBlock(rest, block, after); err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		key, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		if !seen[key.fingerprint] {
			seen[key.fingerprint] = true
			keys = append(keys, key)
		}
		rest = bytes.TrimSpace(after)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("expected a PEM encoded public key, found nothing")
	}
	return keys, nil
}

// wholeBlock refuses what pem.Decode silently skips: text and malformed blocks
// in front of the block that it found. A key that is skipped would be a key
// that its owner believes to be trusted.
func wholeBlock(text []byte, block *pem.Block, after []byte) error {
	const begin = "-----BEGIN "
	if block == nil {
		return fmt.Errorf("expected a PEM block \"-----BEGIN PUBLIC KEY-----\", found something else")
	}
	consumed := text[:len(text)-len(after)]
	if !bytes.HasPrefix(consumed, []byte(begin)) || bytes.Count(consumed, []byte(begin)) != 1 {
		return fmt.Errorf("expected nothing but PEM blocks, found text or a malformed block in front of one")
	}
	if len(block.Headers) > 0 {
		// RFC 7468, section 2: "textual encoding does *not* define or permit
		// headers to be encoded alongside the data".
		return fmt.Errorf("expected a PEM block without headers, found %d", len(block.Headers))
	}
	return nil
}

func parseBlock(block *pem.Block) (Key, error) {
	var public crypto.PublicKey
	var err error
	switch block.Type {
	case string(cryptoutils.PublicKeyPEMType):
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case string(cryptoutils.PKCS1PublicKeyPEMType):
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return Key{}, fmt.Errorf("expected the type \"PUBLIC KEY\", found %s", typeOf(block))
	}
	if err != nil {
		// The parser's own error may quote what it read.
		return Key{}, fmt.Errorf("expected a DER encoded public key, found malformed content")
	}
	return newKey(public)
}

// typeOf names the type of a block that is no public key: what is stored by
// mistake, if it is well known, and no text of the block's own.
func typeOf(block *pem.Block) string {
	for _, known := range []string{"CERTIFICATE", "PRIVATE KEY"} {
		if strings.HasSuffix(block.Type, known) {
			return fmt.Sprintf("a %q", known)
		}
	}
	return "another one"
}

func newKey(public crypto.PublicKey) (Key, error) {
	if err := validateKey(public); err != nil {
		return Key{}, fmt.Errorf("expected RSA of 2048, 3072 or 4096 bits, ECDSA on P-256, P-384 or P-521, or Ed25519: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("encoding the public key: %w", err)
	}
	verifiers, err := verifiersOf(public)
	if err != nil {
		return Key{}, err
	}
	return Key{fingerprint: fingerprint(der), verifiers: verifiers}, nil
}

// fingerprint is that of a public key in DER; see [Key.Fingerprint].
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func validateKey(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits != 2048 && bits != 3072 && bits != 4096 {
			return fmt.Errorf("an RSA modulus of %d bits is not supported", bits)
		}
		// RFC 8017, section 3.1: "the RSA public exponent e is an integer
		// between 3 and n - 1", and it is odd. With 1, a message is its own
		// signature.
		if k.E < 3 || k.E%2 == 0 {
			return fmt.Errorf("an RSA exponent that is even or less than 3 is not supported")
		}
		return nil
	case *ecdsa.PublicKey:
		if c := k.Curve; c != elliptic.P256() && c != elliptic.P384() && c != elliptic.P521() {
			return fmt.Errorf("the curve %s is not supported", c.Params().Name)
		}
		return nil
	case ed25519.PublicKey:
		return nil
	default:
		return fmt.Errorf("a key of type %T is not supported", public)
	}
}

func verifiersOf(public crypto.PublicKey) ([]signature.Verifier, error) {
	if k, ok := public.(ed25519.PublicKey); ok {
		ph, err := signature.LoadED25519phVerifier(k)
		if err != nil {
			return nil, err
		}
		pure, err := signature.LoadED25519Verifier(k)
		if err != nil {
			return nil, err
		}
		return []signature.Verifier{pure, ph}, nil
	}
	hashes := []crypto.Hash{crypto.SHA256}
	if k, ok := public.(*ecdsa.PublicKey); ok {
		switch k.Curve {
		case elliptic.P384():
			hashes = append(hashes, crypto.SHA384)
		case elliptic.P521():
			hashes = append(hashes, crypto.SHA512)
		}
	}
	verifiers := make([]signature.Verifier, 0, len(hashes))
	for _, h := range hashes {
		v, err := signature.LoadVerifier(public, h)
		if err != nil {
			return nil, err
		}
		verifiers = append(verifiers, v)
	}
	return verifiers, nil
}
