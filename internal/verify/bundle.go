package verify

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	// SignPredicateType is the predicate type of an in-toto statement that is
	// a signature over its subject and nothing else.
	// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
	SignPredicateType = "https://sigstore.dev/cosign/sign/v1"
	// inTotoPayloadType is the DSSE payload type of in-toto statements.
	// https://github.com/in-toto/attestation/blob/main/spec/v1/envelope.md
	inTotoPayloadType = "application/vnd.in-toto+json"
)

// errNotASignature is a bundle that is an attestation: it says something about
// the artifact, and does not release it. Cosign's command line accepts it.
var errNotASignature = errors.New("an attestation is not a signature")

// bundleCandidate is a Sigstore bundle, read but not judged.
type bundleCandidate struct {
	bundle *bundle.Bundle
}

func readBundle(s Signature) (candidate, error) {
	malformed := fmt.Errorf("it is not a Sigstore bundle of a version up to 0.3")
	message := new(protobundle.Bundle)
	if err := protojson.Unmarshal(s.Payload, message); err != nil {
		return nil, malformed
	}
	if err := boundMaterial(message.GetVerificationMaterial()); err != nil {
		return nil, err
	}
	b, err := bundle.NewBundle(message)
	if err != nil {
		return nil, malformed
	}
	if err := countsAsSignature(b); err != nil {
		return nil, err
	}
	return bundleCandidate{b}, nil
}

// countsAsSignature returns errNotASignature for an attestation.
func countsAsSignature(b *bundle.Bundle) error {
	if b.GetMessageSignature() != nil {
		return nil
	}
	envelope := b.GetDsseEnvelope()
	if envelope.GetPayloadType() != inTotoPayloadType {
		return errNotASignature
	}
	// "DSSE envelopes in a bundle MUST have exactly one signature"
	// (sigstore_bundle.proto): sigstore-go sees to it too, but so late that it
	// looks like a wrong key.
	if n := len(envelope.GetSignatures()); n != 1 {
		return fmt.Errorf("it holds %s, not 1", countOf(n, "signature"))
	}
	var statement struct {
		PredicateType string `json:"predicateType"`
		Subject       []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(envelope.GetPayload(), &statement); err != nil {
		return fmt.Errorf("its payload is not an in-toto statement")
	}
	if statement.PredicateType != SignPredicateType {
		return errNotASignature
	}
	return nil
}

func (c bundleCandidate) entity(terms) (sigstore.SignedEntity, error) {
	return anyCertificate{c.bundle}, nil
}

// anyCertificate is an entity whose certificate may name its subject in the way
// that Fulcio names users and the standard library does not know.
type anyCertificate struct{ sigstore.SignedEntity }

func (e anyCertificate) VerificationContent() (sigstore.VerificationContent, error) {
	content, err := e.SignedEntity.VerificationContent()
	if err == nil && content.Certificate() != nil {
		withoutSubjectUnhandled(content.Certificate())
	}
	return content, err
}

// judge asks sigstore-go for its verdict on the whole bundle.
func (c bundleCandidate) judge(t terms, p proof, digest v1.Hash) result {
	raw, err := hex.DecodeString(digest.Hex)
	if err != nil {
		return wrongDigest
	}
	if _, pure := t.key.(*signature.ED25519Verifier); pure && c.bundle.GetMessageSignature() != nil {
		// Pure Ed25519 is over the message itself, and here is only its digest.
		// sigstore-go refuses this too, but does not see it behind the
		// ExpiringKey: it would take a signature over the empty message for
		// one over any digest.
		return wrongKey
	}
	verifier, err := sigstore.NewVerifier(p.material, verifierOptions(t)...)
	if err != nil {
		return wrongKey
	}
	verified, err := verifier.Verify(c.bundle, sigstore.NewPolicy(sigstore.WithArtifactDigest(digest.Algorithm, raw), by(t)))
	if err == nil && isSignature(verified) {
		return accepted
	}
	if _, err := verifier.Verify(c.bundle, c.ownDigestPolicy(t)); err == nil {
		return wrongDigest
	}
	return wrongKey
}

// verifierOptions are what sigstore-go is to demand. None of them lets it look
// at the clock.
func verifierOptions(t terms) []sigstore.VerifierOption {
	options := []sigstore.VerifierOption{sigstore.WithoutStatementPredicate()}
	if t.log == LogRequire {
		options = append(options, sigstore.WithTransparencyLog(1))
	}
	switch {
	case t.key != nil: // A key has no dates: no time is needed.
		return append(options, sigstore.WithNoObserverTimestamps())
	case t.log == LogRequire:
		options = append(options, sigstore.WithObserverTimestamps(1))
	default:
		options = append(options, sigstore.WithSignedTimestamps(1))
	}
	if t.root.hasCTLog() {
		options = append(options, sigstore.WithSignedCertificateTimestamps(1))
	}
	return options
}

// by says what must have made the signature. Whose certificate it is is asked
// afterwards, in one way for both formats.
func by(t terms) sigstore.PolicyOption {
	if t.key != nil {
		return sigstore.WithKey()
	}
	return sigstore.WithoutIdentitiesUnsafe()
}

// ownDigestPolicy asks only whether the signature is right over whatever it
// says it is over. Its answer chooses a reason, never a yes.
func (c bundleCandidate) ownDigestPolicy(t terms) sigstore.PolicyBuilder {
	if m := c.bundle.GetMessageSignature(); m != nil {
		return sigstore.NewPolicy(sigstore.WithArtifactDigest("sha256", m.GetMessageDigest().GetDigest()), by(t))
	}
	return sigstore.NewPolicy(sigstore.WithoutArtifactUnsafe(), by(t))
}

// isSignature looks at the predicate type again, in what was verified.
func isSignature(r *sigstore.VerificationResult) bool {
	return r.Statement == nil || r.Statement.GetPredicateType() == SignPredicateType
}
