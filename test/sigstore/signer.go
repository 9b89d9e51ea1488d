package sigstore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/assay-dev/assay/test/signing"
)

// Signer signs with a key, for which it may have a certificate. The fields may
// be changed: with the certificate of somebody else, it is an impostor.
type Signer struct {
	// Certificate is nil for a key without one.
	Certificate *x509.Certificate

	// Chain is the intermediate certificate and the root.
	Chain []*x509.Certificate

	key  signature.Signer
	hash crypto.Hash // of the messages, zero for none
}

// KeySigner signs with a key, without a certificate.
func KeySigner(key *signing.Key) *Signer {
	return &Signer{key: key.Signer(), hash: key.Hash()}
}

// certificateSigner signs with a key as sigstore-go verifies envelopes by its
// certificate: an Ed25519 key signs the message itself.
func certificateSigner(key crypto.Signer, certificate *x509.Certificate, chain []*x509.Certificate) (*Signer, error) {
	details, err := signature.GetDefaultAlgorithmDetails(key.Public())
	if err != nil {
		return nil, fmt.Errorf("loading the key: %w", err)
	}
	signer, err := signature.LoadSignerFromAlgorithmDetails(key, details)
	if err != nil {
		return nil, fmt.Errorf("loading the key: %w", err)
	}
	return &Signer{Certificate: certificate, Chain: chain, key: signer, hash: details.GetHashType()}, nil
}

// PublicKey is the key that verifies what the signer signs.
func (s *Signer) PublicKey() (crypto.PublicKey, error) { return s.key.PublicKey() }

// sign signs a message.
func (s *Signer) sign(message []byte) ([]byte, error) {
	return s.key.SignMessage(bytes.NewReader(message))
}

// signDigest signs a message of which only the SHA-256 digest is known.
func (s *Signer) signDigest(digest []byte) ([]byte, error) {
	if s.hash != crypto.SHA256 {
		return nil, errors.New("only keys that sign SHA-256 can sign a digest")
	}
	return s.key.SignMessage(strings.NewReader(""), options.WithDigest(digest))
}
