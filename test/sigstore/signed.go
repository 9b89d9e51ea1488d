package sigstore

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	dssepb "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/assay-dev/assay/test/signing"
)

// The versions of bundles.
const (
	Bundle01 = "0.1"
	Bundle02 = "0.2"
	Bundle03 = "0.3"
)

// Signed is a signature, with everything that is written beside it. All of it
// may be changed, and taken from another signature, before it is written.
type Signed struct {
	Format Format

	// Payload is the document that is signed: of simple signing in the v2
	// format, or an in-toto statement. A message signature has none.
	Payload []byte

	// PayloadType is the envelope's, in a bundle.
	PayloadType string

	// MessageDigest is set in a bundle with a message signature: the artifact's
	// SHA-256 digest.
	MessageDigest []byte

	// Signature is raw.
	Signature []byte

	// Certificate and Chain are nil for a key without a certificate, of which
	// a bundle has a hint that is made from PublicKey.
	Certificate *x509.Certificate
	Chain       []*x509.Certificate
	PublicKey   crypto.PublicKey

	// Hash is what the signer hashed with, for log entries that are made later.
	Hash crypto.Hash

	// Entries are those of transparency logs. The v2 format has at most one.
	Entries []*rekorpb.TransparencyLogEntry

	// Timestamps are responses of timestamp authorities. The v2 format has at
	// most one.
	Timestamps [][]byte

	// Annotations are, in the v2 format, added to those that are made from the
	// rest, or replace them.
	Annotations map[string]string

	// BundleVersion is Bundle03 unless it is set.
	BundleVersion string

	// BundleChain writes the certificate together with its chain, as bundles
	// before version 0.3 did.
	BundleChain bool

	// PredicateType is what the annotation of a bundle's manifest repeats, by
	// which nobody should judge. Empty stands for that of a signature.
	PredicateType string
}

// Clone is a deep copy, all but of the certificates and the public key.
func (s *Signed) Clone() *Signed {
	clone := *s
	clone.Payload = bytes.Clone(s.Payload)
	clone.MessageDigest = bytes.Clone(s.MessageDigest)
	clone.Signature = bytes.Clone(s.Signature)
	clone.Chain = slices.Clone(s.Chain)
	clone.Annotations = maps.Clone(s.Annotations)
	clone.Entries = nil
	for _, entry := range s.Entries {
		clone.Entries = append(clone.Entries, proto.CloneOf(entry))
	}
	clone.Timestamps = nil
	for _, response := range s.Timestamps {
		clone.Timestamps = append(clone.Timestamps, bytes.Clone(response))
	}
	return &clone
}

// isEnvelope says whether the payload is in an envelope.
func (s *Signed) isEnvelope() bool {
	return s.Format == FormatBundle && s.MessageDigest == nil
}

// Cosign writes the signature in the v2 format, with the annotations that
// cosign v2.6 has.
func (s *Signed) Cosign() (signing.Signature, error) {
	if s.Format != FormatCosign {
		return signing.Signature{}, fmt.Errorf("a signature of format %q is not of the v2 format", s.Format)
	}
	annotations, err := s.annotations()
	if err != nil {
		return signing.Signature{}, fmt.Errorf("making the annotations: %w", err)
	}
	return signing.Signature{Payload: s.Payload, Base64: encode(s.Signature), Annotations: annotations}, nil
}

func (s *Signed) annotations() (map[string]string, error) {
	all := map[string]string{}
	if s.Certificate != nil {
		leaf, err := cryptoutils.MarshalCertificateToPEM(s.Certificate)
		if err != nil {
			return nil, err
		}
		chain, err := cryptoutils.MarshalCertificatesToPEM(s.Chain)
		if err != nil {
			return nil, err
		}
		all[static.CertificateAnnotationKey] = string(leaf)
		all[static.ChainAnnotationKey] = string(chain)
	}
	if len(s.Entries) > 1 || len(s.Timestamps) > 1 {
		return nil, fmt.Errorf("%d log entries and %d timestamps, and room for one each", len(s.Entries), len(s.Timestamps))
	}
	for _, entry := range s.Entries {
		document, err := json.Marshal(cosignbundle.RekorBundle{
			SignedEntryTimestamp: entry.GetInclusionPromise().GetSignedEntryTimestamp(),
			Payload:              rekorPayload(entry),
		})
		if err != nil {
			return nil, err
		}
		all[static.BundleAnnotationKey] = string(document)
	}
	for _, response := range s.Timestamps {
		document, err := json.Marshal(cosignbundle.TimestampToRFC3161Timestamp(response))
		if err != nil {
			return nil, err
		}
		all[static.RFC3161TimestampAnnotationKey] = string(document)
	}
	maps.Copy(all, s.Annotations)
	return all, nil
}

// Bundle writes the signature as a bundle, in JSON.
func (s *Signed) Bundle() ([]byte, error) {
	if s.Format != FormatBundle {
		return nil, fmt.Errorf("a signature of format %q is no bundle", s.Format)
	}
	material, err := s.material()
	if err != nil {
		return nil, fmt.Errorf("making the verification material: %w", err)
	}
	bundle := &bundlepb.Bundle{MediaType: s.bundleMediaType(), VerificationMaterial: material}
	if s.isEnvelope() {
		bundle.Content = &bundlepb.Bundle_DsseEnvelope{DsseEnvelope: &dssepb.Envelope{
			Payload:     s.Payload,
			PayloadType: s.PayloadType,
			Signatures:  []*dssepb.Signature{{Sig: s.Signature}},
		}}
	} else {
		bundle.Content = &bundlepb.Bundle_MessageSignature{MessageSignature: &common.MessageSignature{
			MessageDigest: &common.HashOutput{Algorithm: common.HashAlgorithm_SHA2_256, Digest: s.MessageDigest},
			Signature:     s.Signature,
		}}
	}
	document, err := protojson.Marshal(bundle)
	if err != nil {
		return nil, fmt.Errorf("encoding the bundle: %w", err)
	}
	return compact(document)
}

func (s *Signed) bundleMediaType() string {
	switch s.BundleVersion {
	case Bundle01, Bundle02:
		return "application/vnd.dev.sigstore.bundle+json;version=" + s.BundleVersion
	case "":
		return "application/vnd.dev.sigstore.bundle.v" + Bundle03 + "+json"
	default:
		return "application/vnd.dev.sigstore.bundle.v" + s.BundleVersion + "+json"
	}
}

func (s *Signed) material() (*bundlepb.VerificationMaterial, error) {
	material := &bundlepb.VerificationMaterial{TlogEntries: s.Entries}
	for _, response := range s.Timestamps {
		if material.TimestampVerificationData == nil {
			material.TimestampVerificationData = &bundlepb.TimestampVerificationData{}
		}
		material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps,
			&common.RFC3161SignedTimestamp{SignedTimestamp: response})
	}
	switch {
	case s.Certificate != nil && s.BundleChain:
		chain := []*common.X509Certificate{{RawBytes: s.Certificate.Raw}}
		for _, above := range s.Chain {
			chain = append(chain, &common.X509Certificate{RawBytes: above.Raw})
		}
		material.Content = &bundlepb.VerificationMaterial_X509CertificateChain{
			X509CertificateChain: &common.X509CertificateChain{Certificates: chain},
		}
	case s.Certificate != nil:
		material.Content = &bundlepb.VerificationMaterial_Certificate{
			Certificate: &common.X509Certificate{RawBytes: s.Certificate.Raw},
		}
	default:
		hint, err := keyHint(s.PublicKey)
		if err != nil {
			return nil, err
		}
		material.Content = &bundlepb.VerificationMaterial_PublicKey{
			PublicKey: &common.PublicKeyIdentifier{Hint: hint},
		}
	}
	return material, nil
}

// keyHint is the digest of the key, as cosign writes it.
func keyHint(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return encode(sum[:]), nil
}

// Attach attaches the signature to the artifact at reference, by digest, in its
// format: beside those that are under the .sig tag, or as a referrer.
func (s *Signed) Attach(ctx context.Context, reference string, opts ...remote.Option) error {
	if s.Format == FormatCosign {
		signature, err := s.Cosign()
		if err != nil {
			return err
		}
		return signing.AttachCosign(ctx, reference, []signing.Signature{signature}, opts...)
	}
	bundle, err := s.Bundle()
	if err != nil {
		return err
	}
	predicateType := s.PredicateType
	if predicateType == "" {
		predicateType = signing.SignPredicateType
	}
	return signing.AttachBundle(ctx, reference, bundle, predicateType, opts...)
}

func encode(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
