package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Kind is a kind of key.
type Kind string

// The kinds of key that Cosign signs with. RSA keys of 4096 bits are left out:
// they take seconds to make.
const (
	RSA2048   Kind = "rsa-2048"
	RSA3072   Kind = "rsa-3072"
	ECDSAP256 Kind = "ecdsa-p256" // what cosign generate-key-pair makes
	ECDSAP384 Kind = "ecdsa-p384"
	ECDSAP521 Kind = "ecdsa-p521"
	Ed25519   Kind = "ed25519"
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{RSA2048, RSA3072, ECDSAP256, ECDSAP384, ECDSAP521, Ed25519}
}

// Scheme is the way in which a key signs. For most keys there are two in use.
type Scheme string

const (
	// CosignDefault is what cosign v2.6 signs with: SHA-256 for RSA and P-256,
	// SHA-384 for P-384, SHA-512 for P-521, and Ed25519ph for Ed25519.
	CosignDefault Scheme = "default"

	// SHA256 hashes with SHA-256, whatever the curve, as older releases of
	// cosign sign and cosign v2.6 still verifies by default. Not for Ed25519.
	SHA256 Scheme = "sha256"

	// PureEd25519 signs the message itself, as older releases of cosign do.
	// Only for Ed25519.
	PureEd25519 Scheme = "pure-ed25519"
)

// Key is a key pair together with the scheme in which it signs.
type Key struct {
	private crypto.Signer
	public  []byte // PEM
	signer  signature.SignerVerifier
	hash    crypto.Hash
}

// NewKey makes a new key that signs as cosign does.
func NewKey(kind Kind) (*Key, error) {
	private, err := generate(kind)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	return (&Key{private: private, public: public}).Using(CosignDefault)
}

func generate(kind Kind) (crypto.Signer, error) {
	switch kind {
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ECDSAP521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	default:
		return nil, fmt.Errorf("unknown kind of key %q", kind)
	}
}

// PublicPEM is the public key in PEM, as in cosign.pub.
func (k *Key) PublicPEM() []byte { return k.public }

// Verifier verifies what the key signs, in its scheme and in no other.
func (k *Key) Verifier() signature.Verifier { return k.signer }

// Signer signs with the key, in its scheme.
func (k *Key) Signer() signature.Signer { return k.signer }

// Hash is what the scheme hashes a message with before it signs: zero for
// PureEd25519, which does not.
func (k *Key) Hash() crypto.Hash { return k.hash }

// Using returns the same key pair with another scheme. It fails if the scheme
// is not for this kind of key.
func (k *Key) Using(scheme Scheme) (*Key, error) {
	signer, hash, err := load(k.private, scheme)
	if err != nil {
		return nil, fmt.Errorf("loading the key for scheme %q: %w", scheme, err)
	}
	return &Key{private: k.private, public: k.public, signer: signer, hash: hash}, nil
}

func load(private crypto.Signer, scheme Scheme) (signer signature.SignerVerifier, hash crypto.Hash, err error) {
	edwards, isEdwards := private.(ed25519.PrivateKey)
	switch {
	case scheme == CosignDefault:
		return loadDefault(private)
	case scheme == SHA256 && !isEdwards:
		signer, err = signature.LoadSignerVerifier(private, crypto.SHA256)
		return signer, crypto.SHA256, err
	case scheme == PureEd25519 && isEdwards:
		signer, err = signature.LoadED25519SignerVerifier(edwards)
		return signer, 0, err
	default:
		return nil, 0, fmt.Errorf("not for a %T", private)
	}
}

// loadDefault loads the key as cosign does.
func loadDefault(private crypto.Signer) (signature.SignerVerifier, crypto.Hash, error) {
	options := *cosign.GetDefaultLoadOptions(nil)
	details, err := signature.GetDefaultAlgorithmDetails(private.Public(), options...)
	if err != nil {
		return nil, 0, err
	}
	signer, err := signature.LoadSignerVerifierFromAlgorithmDetails(private, details, options...)
	return signer, details.GetHashType(), err
}
