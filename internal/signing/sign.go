package signing

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	intoto "github.com/in-toto/attestation/go/v1"
	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/assay-dev/assay/internal/verify"
)

const (
	bundleMediaType   = "application/vnd.dev.sigstore.bundle.v0.3+json"
	inTotoPayloadType = "application/vnd.in-toto+json"
)

// Signed is a signature that was made, checked and, with a trusted root, judged,
// and that is not attached to anything.
type Signed struct {
	digest  name.Digest
	options Options
	key     *Key
	issued  issued
	bundle  *bundlepb.Bundle
	payload []byte
	result  Result
}

// Sign signs a digest: it asks for a certificate if there is no key, then for
// timestamps, then for log entries, and checks all that it got. Nothing is asked
// of the registry. Errors are those of [Options.Check], a *ServiceError, a
// *verify.Refusal where the trusted root does not lead to a yes, or of the key.
func Sign(ctx context.Context, o Options, digest name.Digest) (*Signed, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Signed{digest: digest, options: o, key: o.Key}
	if err := s.makeSignature(ctx); err != nil {
		return nil, err
	}
	if err := s.gatherWitnesses(ctx); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return s, s.judge()
}

// Result is what there is to say of the signature.
func (s *Signed) Result() Result { return s.result }

// makeSignature signs the document of the format, with the key or with a new one
// for which there is a certificate.
func (s *Signed) makeSignature(ctx context.Context) (err error) {
	if s.key == nil {
		if s.key, err = newEphemeralKey(ctx); err != nil {
			return fmt.Errorf("making a key: %w", err)
		}
		if s.issued, err = certify(ctx, s.options, s.key); err != nil {
			return err
		}
	}
	var content sign.Content
	if s.options.Format == verify.FormatBundle {
		s.payload, err = statement(s.digest)
		content = &sign.DSSEData{Data: s.payload, PayloadType: inTotoPayloadType}
	} else {
		s.payload, err = payload.Cosign{Image: s.digest}.MarshalJSON()
		content = &sign.PlainData{Data: s.payload}
	}
	if err != nil {
		return fmt.Errorf("describing %s: %w", s.digest, err)
	}
	signed, hashed, err := s.key.sign(ctx, content.PreAuthEncoding())
	if err != nil {
		return err
	}
	if err := s.key.verify(signed, content.PreAuthEncoding()); err != nil {
		return fmt.Errorf("the key signed in another way than its public half is verified by: %w", err)
	}
	s.bundle = &bundlepb.Bundle{MediaType: bundleMediaType, VerificationMaterial: s.material()}
	content.Bundle(s.bundle, signed, hashed, s.key.details.GetProtoHashType())
	return nil
}

// statement is what a bundle that is a signature says: the digest, without a
// name, as Cosign writes it.
// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
func statement(digest name.Digest) ([]byte, error) {
	algorithm, hex, _ := strings.Cut(digest.DigestStr(), ":")
	return protojson.Marshal(&intoto.Statement{
		Type:          intoto.StatementTypeUri,
		Subject:       []*intoto.ResourceDescriptor{{Digest: map[string]string{algorithm: hex}}},
		PredicateType: verify.SignPredicateType,
	})
}

// material says in a bundle whose signature it is.
func (s *Signed) material() *bundlepb.VerificationMaterial {
	if s.issued.leaf != nil {
		return &bundlepb.VerificationMaterial{Content: &bundlepb.VerificationMaterial_Certificate{
			Certificate: &common.X509Certificate{RawBytes: s.issued.leaf.Raw},
		}}
	}
	return &bundlepb.VerificationMaterial{Content: &bundlepb.VerificationMaterial_PublicKey{
		PublicKey: &common.PublicKeyIdentifier{Hint: s.key.hint()},
	}}
}

// verifierPEM is the certificate or the public key.
func (s *Signed) verifierPEM() ([]byte, error) {
	if s.issued.leaf != nil {
		return cryptoutils.MarshalCertificateToPEM(s.issued.leaf)
	}
	return s.key.PublicPEM()
}

// gatherWitnesses asks the timestamp authorities and the logs, in this order: a
// log is not to record what then lacks a timestamp.
func (s *Signed) gatherWitnesses(ctx context.Context) error {
	verifier, err := s.verifierPEM()
	if err != nil {
		return err
	}
	s.result = newResult(s)
	for _, url := range s.options.Services.TimestampAuthorities {
		made, err := stampBy(ctx, s.options, url, signatureOf(s.bundle))
		if err != nil {
			return err
		}
		if err := s.inTime(service{what: "the timestamp authority", url: url}, made.at); err != nil {
			return err
		}
		m := s.bundle.VerificationMaterial
		if m.TimestampVerificationData == nil {
			m.TimestampVerificationData = &bundlepb.TimestampVerificationData{}
		}
		m.TimestampVerificationData.Rfc3161Timestamps = append(m.TimestampVerificationData.Rfc3161Timestamps,
			&common.RFC3161SignedTimestamp{SignedTimestamp: made.response})
		s.result.Timestamps = append(s.result.Timestamps, made.at)
	}
	for _, l := range s.options.Services.Logs {
		if err := record(ctx, s.options, l, verifier, s.bundle); err != nil {
			return err
		}
		entry := s.bundle.VerificationMaterial.TlogEntries[len(s.result.Logs)]
		logged := newLogEntry(l.URL, entry)
		if logged.IntegratedTime != nil {
			if err := s.inTime(service{what: "the transparency log", url: l.URL}, *logged.IntegratedTime); err != nil {
				return err
			}
		}
		s.result.Logs = append(s.result.Logs, logged)
	}
	return nil
}

// inTime refuses a time at which the certificate is not valid: nobody would
// accept the signature.
func (s *Signed) inTime(by service, at time.Time) error {
	leaf := s.issued.leaf
	if leaf == nil || covers(leaf, at) {
		return nil
	}
	return by.problem("expected a time at which the certificate is valid, %s to %s, found %s",
		leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), at.Format(time.RFC3339))
}

func covers(leaf *x509.Certificate, at time.Time) bool {
	return !at.Before(leaf.NotBefore) && !at.After(leaf.NotAfter)
}
