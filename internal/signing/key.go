package signing

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	cosignsignature "github.com/sigstore/cosign/v2/pkg/signature"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// maxKeyBytes bounds a private key file; Cosign's are under 4 KiB.
const maxKeyBytes = 64 << 10

// Key signs. [LoadKey] makes one; for a certificate there is a new one with every
// signature, which [Sign] makes itself.
type Key struct {
	signer  signature.SignerVerifier
	public  crypto.PublicKey
	der     []byte
	details signature.AlgorithmDetails
}

// ErrPassword says that a private key could not be decrypted.
var ErrPassword = errors.New("the password does not decrypt the private key")

// LoadKey loads a key: a file or an environment variable (env://NAME) with a
// private key as "cosign generate-key-pair" and "cosign import-key-pair" write
// it, a Secret of a cluster (k8s://namespace/name), a variable of GitLab
// (gitlab://project), or a key management service (awskms://, azurekms://,
// gcpkms://, hashivault://), if the program has imported its package. password is
// called at most once, and only for what is encrypted.
func LoadKey(ctx context.Context, reference string, password func() ([]byte, error)) (*Key, error) {
	signer, err := loadSigner(ctx, reference, password)
	if err != nil {
		return nil, err
	}
	return newKey(ctx, signer)
}

func loadSigner(ctx context.Context, reference string, password func() ([]byte, error)) (signature.SignerVerifier, error) {
	scheme, name, isURL := strings.Cut(reference, "://")
	switch {
	case !isURL:
		text, err := readKey(reference)
		if err != nil {
			return nil, err
		}
		return decrypt(text, password)
	case scheme == "env":
		text, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("expected a private key in the environment variable %s, which is not set", name)
		}
		return decrypt([]byte(text), password)
	case scheme == "http", scheme == "https":
		return nil, errors.New("expected a private key in a file or a key management service, found the URL of a web page")
	}
	signer, err := cosignsignature.SignerVerifierFromKeyRef(ctx, reference, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("loading the key %s: %w", reference, err)
	}
	return signer, nil
}

func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyBytes+1))
	if err == nil && len(text) > maxKeyBytes {
		err = fmt.Errorf("%s: expected a private key of at most %d bytes, found more", path, maxKeyBytes)
	}
	return text, err
}

// decrypt reads a private key as Cosign encrypts it. No error repeats any of it.
func decrypt(text []byte, password func() ([]byte, error)) (signature.SignerVerifier, error) {
	block, _ := pem.Decode(text)
	const expected = "expected a private key that Cosign encrypted"
	switch {
	case block == nil:
		return nil, errors.New(expected + ", found no PEM")
	case block.Type == cosign.SigstorePrivateKeyPemType || block.Type == cosign.CosignPrivateKeyPemType:
	case strings.HasSuffix(block.Type, "PUBLIC KEY"):
		return nil, errors.New(expected + ", found a public key")
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New(expected + ", found another kind of private key: cosign import-key-pair makes one of it")
	default:
		return nil, errors.New(expected + ", found PEM of something else")
	}
	secret, err := password()
	if err != nil {
		return nil, err
	}
	signer, err := cosign.LoadPrivateKey(text, secret, nil)
	switch {
	case err == nil:
		return signer, nil
	case strings.Contains(err.Error(), "decryption failed"): // The library has no value for it.
		return nil, ErrPassword
	default:
		return nil, errors.New(expected + ", found one that cannot be read")
	}
}

// newEphemeralKey makes the key for one signature by certificate: P-256, as
// Cosign does.
func newEphemeralKey(ctx context.Context) (*Key, error) {
	private, err := cosign.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	signer, err := signature.LoadECDSASignerVerifier(private, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return newKey(ctx, signer)
}

func newKey(ctx context.Context, signer signature.SignerVerifier) (*Key, error) {
	public, err := signer.PublicKey(options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	// Ed25519ph for Ed25519, as Cosign has it: a log keeps only a digest.
	details, err := signature.GetDefaultAlgorithmDetails(public, *cosign.GetDefaultLoadOptions(nil)...)
	if err != nil {
		return nil, fmt.Errorf("expected RSA of 2048, 3072 or 4096 bits, ECDSA on P-256, P-384 or P-521, or Ed25519: %w", err)
	}
	return &Key{signer: signer, public: public, der: der, details: details}, nil
}

// PublicPEM is the public key, as in cosign.pub.
func (k *Key) PublicPEM() ([]byte, error) { return cryptoutils.MarshalPublicKeyToPEM(k.public) }

// Fingerprint is "sha256:" and the hexadecimal SHA-256 of the DER encoded
// SubjectPublicKeyInfo (RFC 5280, section 4.1), as in a ModuleSource's status.
func (k *Key) Fingerprint() string {
	sum := sha256.Sum256(k.der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// hint is the digest of the key, as bundles have it.
func (k *Key) hint() string {
	sum := sha256.Sum256(k.der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// hash is what the key hashes a message with before it signs: SHA-256 for RSA
// and P-256, SHA-384 for P-384, SHA-512 for P-521 and Ed25519ph.
func (k *Key) hash() crypto.Hash { return k.details.GetHashType() }

// sign signs a message, and returns the digest that was signed.
func (k *Key) sign(ctx context.Context, message []byte) (signed, digest []byte, err error) {
	hasher := k.hash().New()
	hasher.Write(message)
	digest = hasher.Sum(nil)
	// The hash is said to key management services too: Vault would take SHA-256
	// for all of them.
	signed, err = k.signer.SignMessage(bytes.NewReader(message), options.WithContext(ctx), options.WithDigest(digest), options.WithCryptoSignerOpts(k.hash()))
	if err != nil {
		return nil, nil, fmt.Errorf("signing with the key: %w", err)
	}
	return signed, digest, nil
}

// verify verifies a signature by the public key alone, whatever holds the
// private one.
func (k *Key) verify(signed, message []byte) error {
	verifier, err := signature.LoadVerifierFromAlgorithmDetails(k.public, k.details, *cosign.GetDefaultLoadOptions(nil)...)
	if err != nil {
		return err
	}
	return verifier.VerifySignature(bytes.NewReader(signed), bytes.NewReader(message))
}

// KeyPair is a new pair of keys in the form of Cosign's.
type KeyPair struct {
	// Private is PEM, "ENCRYPTED SIGSTORE PRIVATE KEY", and Public "PUBLIC KEY".
	Private, Public []byte
}

// GenerateKeys makes a P-256 key pair, as "cosign generate-key-pair" does. The
// password may be empty.
func GenerateKeys(password []byte) (KeyPair, error) {
	keys, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return password, nil })
	if err != nil {
		return KeyPair{}, fmt.Errorf("making a key pair: %w", err)
	}
	return KeyPair{Private: keys.PrivateBytes, Public: keys.PublicBytes}, nil
}
