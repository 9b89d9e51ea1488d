package sigstore

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
)

// The kinds of entry, and their versions in the two logs.
const (
	kindHashedRekord = "hashedrekord"
	kindDSSE         = "dsse"
	hashedRekord1    = "0.0.1"
	hashedRekord2    = "0.0.2"
	dsse1            = "0.0.1"
)

// rekorHash is what the logs hash with.
const rekorHash = crypto.SHA256

// hashOf is a hash as Rekor v1 writes it.
type hashOf struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"`
}

// entry is what Rekor v1 stores.
// https://github.com/sigstore/rekor/blob/v1.5.3/pkg/types/README.md
type entry struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       any    `json:"spec"`
}

type hashedRekordSpec struct {
	Data struct {
		Hash hashOf `json:"hash"`
	} `json:"data"`
	Signature struct {
		Content   []byte `json:"content"`
		PublicKey struct {
			Content []byte `json:"content"`
		} `json:"publicKey"`
	} `json:"signature"`
}

type dsseSpec struct {
	EnvelopeHash hashOf          `json:"envelopeHash"`
	PayloadHash  hashOf          `json:"payloadHash"`
	Signatures   []dsseSignature `json:"signatures"`
}

type dsseSignature struct {
	Signature []byte `json:"signature"`
	Verifier  []byte `json:"verifier"`
}

// Rekor1Body is the body of the signature's entry in a log of the Rekor v1
// kind, with the entry's kind and version.
func (s *Signed) Rekor1Body() (body []byte, kind, version string, err error) {
	verifier, err := s.verifierPEM()
	if err != nil {
		return nil, "", "", fmt.Errorf("encoding the verifier: %w", err)
	}
	content := entry{APIVersion: hashedRekord1, Kind: kindHashedRekord}
	if s.isEnvelope() {
		content.APIVersion, content.Kind = dsse1, kindDSSE
		content.Spec, err = s.dsseSpec(verifier)
	} else {
		content.Spec = s.hashedRekordSpec(verifier)
	}
	if err != nil {
		return nil, "", "", err
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return nil, "", "", fmt.Errorf("encoding the entry: %w", err)
	}
	body, err = jsoncanonicalizer.Transform(raw)
	return body, content.Kind, content.APIVersion, err
}

func (s *Signed) hashedRekordSpec(verifier []byte) hashedRekordSpec {
	var spec hashedRekordSpec
	digest, hash := s.digest(s.Hash)
	spec.Data.Hash = hashOf{Algorithm: hashName(hash), Value: hex.EncodeToString(digest)}
	spec.Signature.Content = s.Signature
	spec.Signature.PublicKey.Content = verifier
	return spec
}

func (s *Signed) dsseSpec(verifier []byte) (dsseSpec, error) {
	envelope, err := json.Marshal(dsse.Envelope{
		PayloadType: s.PayloadType,
		Payload:     encode(s.Payload),
		Signatures:  []dsse.Signature{{Sig: encode(s.Signature)}},
	})
	if err != nil {
		return dsseSpec{}, fmt.Errorf("encoding the envelope: %w", err)
	}
	return dsseSpec{
		EnvelopeHash: sha256Of(envelope),
		PayloadHash:  sha256Of(s.Payload),
		Signatures:   []dsseSignature{{Signature: s.Signature, Verifier: verifier}},
	}, nil
}

// Rekor2Body is the body of the signature's entry in a log of the Rekor v2
// kind: a hashedrekord 0.0.2, whatever was signed.
func (s *Signed) Rekor2Body() ([]byte, error) {
	verifier, err := s.verifier()
	if err != nil {
		return nil, fmt.Errorf("encoding the verifier: %w", err)
	}
	details, err := signature.GetAlgorithmDetails(verifier.GetKeyDetails())
	if err != nil {
		return nil, fmt.Errorf("encoding the verifier: %w", err)
	}
	digest, _ := s.digest(details.GetHashType())
	raw, err := protojson.Marshal(&tiles.Entry{
		Kind:       kindHashedRekord,
		ApiVersion: hashedRekord2,
		Spec: &tiles.Spec{Spec: &tiles.Spec_HashedRekordV002{
			HashedRekordV002: &tiles.HashedRekordLogEntryV002{
				Data:      &common.HashOutput{Algorithm: details.GetProtoHashType(), Digest: digest},
				Signature: &tiles.Signature{Content: s.Signature, Verifier: verifier},
			},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the entry: %w", err)
	}
	return jsoncanonicalizer.Transform(raw)
}

// verifier is the certificate or the public key as Rekor v2 has it.
func (s *Signed) verifier() (*tiles.Verifier, error) {
	public, err := s.publicKey()
	if err != nil {
		return nil, err
	}
	details, err := signature.GetDefaultPublicKeyDetails(public, *cosign.GetDefaultLoadOptions(nil)...)
	if err != nil {
		return nil, err
	}
	verifier := &tiles.Verifier{KeyDetails: details}
	if s.Certificate != nil {
		verifier.Verifier = &tiles.Verifier_X509Certificate{
			X509Certificate: &common.X509Certificate{RawBytes: s.Certificate.Raw},
		}
		return verifier, nil
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	verifier.Verifier = &tiles.Verifier_PublicKey{PublicKey: &tiles.PublicKey{RawBytes: der}}
	return verifier, nil
}

// verifierPEM is the certificate or the public key as Rekor v1 has it.
func (s *Signed) verifierPEM() ([]byte, error) {
	if s.Certificate != nil {
		return cryptoutils.MarshalCertificateToPEM(s.Certificate)
	}
	public, err := s.publicKey()
	if err != nil {
		return nil, err
	}
	return cryptoutils.MarshalPublicKeyToPEM(public)
}

// publicKey is the one that verifies the signature.
func (s *Signed) publicKey() (crypto.PublicKey, error) {
	if s.Certificate != nil {
		return s.Certificate.PublicKey, nil
	}
	if s.PublicKey == nil {
		return nil, errors.New("neither a certificate nor a public key")
	}
	return s.PublicKey, nil
}

// digest is the digest of what was signed: the artifact's for a message
// signature, of which no more is known.
func (s *Signed) digest(hash crypto.Hash) ([]byte, crypto.Hash) {
	if s.MessageDigest != nil {
		return s.MessageDigest, crypto.SHA256
	}
	if hash == 0 {
		hash = crypto.SHA256
	}
	hasher := hash.New()
	hasher.Write(s.message())
	return hasher.Sum(nil), hash
}

// hashName is a hash as Rekor v1 names it.
func hashName(hash crypto.Hash) string {
	return map[crypto.Hash]string{crypto.SHA256: "sha256", crypto.SHA384: "sha384", crypto.SHA512: "sha512"}[hash]
}

func sha256Of(content []byte) hashOf {
	sum := sha256.Sum256(content)
	return hashOf{Algorithm: hashName(crypto.SHA256), Value: hex.EncodeToString(sum[:])}
}
