package verify

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
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
	b := new(bundle.Bundle)
	if err := b.UnmarshalJSON(s.Payload); err != nil {
		return nil, fmt.Errorf("it is not a Sigstore bundle of a version up to 0.3")
	}
	if b.GetMessageSignature() != nil {
		return bundleCandidate{b}, nil
	}
	envelope := b.GetDsseEnvelope()
	if envelope.GetPayloadType() != inTotoPayloadType {
		return nil, errNotASignature
	}
	// "DSSE envelopes in a bundle MUST have exactly one signature"
	// (sigstore_bundle.proto): sigstore-go sees to it too, but so late that it
	// looks like a wrong key.
	if n := len(envelope.GetSignatures()); n != 1 {
		return nil, fmt.Errorf("it holds %s, not 1", countOf(n, "signature"))
	}
	var statement struct {
		PredicateType string `json:"predicateType"`
		Subject       []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(envelope.GetPayload(), &statement); err != nil {
		return nil, fmt.Errorf("its payload is not an in-toto statement")
	}
	if statement.PredicateType != SignPredicateType {
		return nil, errNotASignature
	}
	return bundleCandidate{b}, nil
}

// verifiedBy judges the candidate with sigstore-go, in one of the ways in
// which a key signs.
func (c bundleCandidate) verifiedBy(v signature.Verifier, digest v1.Hash) result {
	raw, err := hex.DecodeString(digest.Hex)
	if err != nil {
		return wrongDigest
	}
	if _, pure := v.(*signature.ED25519Verifier); pure && c.bundle.GetMessageSignature() != nil {
		// Pure Ed25519 is over the message itself, and here is only its digest.
		// sigstore-go refuses this too, but does not see it behind the
		// ExpiringKey: it would take a signature over the empty message for
		// one over any digest.
		return wrongKey
	}
	verifier, err := newKeyVerifier(v)
	if err != nil {
		return wrongKey
	}
	verified, err := verifier.Verify(c.bundle, sigstore.NewPolicy(sigstore.WithArtifactDigest(digest.Algorithm, raw), sigstore.WithKey()))
	if err == nil && isSignature(verified) {
		return accepted
	}
	if _, err := verifier.Verify(c.bundle, c.ownDigestPolicy()); err == nil {
		return wrongDigest
	}
	return wrongKey
}

// ownDigestPolicy asks only whether the key made the signature, over whatever
// it says it is over. Its answer chooses a reason, never a yes.
func (c bundleCandidate) ownDigestPolicy() sigstore.PolicyBuilder {
	if m := c.bundle.GetMessageSignature(); m != nil {
		return sigstore.NewPolicy(sigstore.WithArtifactDigest("sha256", m.GetMessageDigest().GetDigest()), sigstore.WithKey())
	}
	return sigstore.NewPolicy(sigstore.WithoutArtifactUnsafe(), sigstore.WithKey())
}

// isSignature looks at the predicate type again, in what was verified.
func isSignature(r *sigstore.VerificationResult) bool {
	return r.Statement == nil || r.Statement.GetPredicateType() == SignPredicateType
}

// newKeyVerifier makes a verifier that trusts this key alone, at any time, and
// that looks at no log and no timestamp.
func newKeyVerifier(v signature.Verifier) (*sigstore.Verifier, error) {
	key := root.NewExpiringKey(v, time.Time{}, time.Time{})
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return key, nil })
	return sigstore.NewVerifier(material, sigstore.WithNoObserverTimestamps(), sigstore.WithoutStatementPredicate())
}
