package verify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// cosignCandidate is a signature in the format of Cosign v2, read but not
// judged. The certificate and the log entry that its annotations may carry are
// left out: under a key with the log ignored they prove nothing, and Cosign
// would check the certificate against the current time.
type cosignCandidate struct {
	signature oci.Signature
}

func readCosign(s Signature) (candidate, error) {
	var annotations map[string]json.RawMessage
	if err := json.Unmarshal(s.Annotations, &annotations); err != nil {
		return nil, fmt.Errorf("its annotations are not a JSON object")
	}
	raw, ok := annotations[static.SignatureAnnotationKey]
	if !ok {
		return nil, fmt.Errorf("its annotation %s is missing", static.SignatureAnnotationKey)
	}
	var encoded string
	if err := json.Unmarshal(raw, &encoded); err != nil {
		return nil, fmt.Errorf("its annotation %s is not a string", static.SignatureAnnotationKey)
	}
	if b, err := base64.StdEncoding.DecodeString(encoded); err != nil || len(b) == 0 {
		return nil, fmt.Errorf("its annotation %s is not base64", static.SignatureAnnotationKey)
	}
	signature, err := static.NewSignature(s.Payload, encoded)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read")
	}
	return cosignCandidate{signature}, nil
}

// verifiedBy judges the candidate with Cosign's own verifier, in one of the
// ways in which a key signs.
func (c cosignCandidate) verifiedBy(v signature.Verifier, digest v1.Hash) result {
	outcome := wrongKey
	options := &cosign.CheckOpts{
		SigVerifier: v,
		IgnoreTlog:  true,
		Offline:     true,
		// Cosign calls it only after the signature over the payload verified,
		// which tells a wrong key from a wrong digest.
		ClaimVerifier: func(s oci.Signature, h v1.Hash, a map[string]any) error {
			outcome = wrongDigest
			if err := requireCosignType(s); err != nil {
				return err
			}
			return cosign.SimpleClaimVerifier(s, h, a)
		},
	}
	// The context ends nothing: with a key and the log ignored Cosign asks nobody.
	if _, err := cosign.VerifyImageSignature(context.Background(), c.signature, digest, options); err != nil {
		return outcome
	}
	if outcome != wrongDigest {
		return wrongKey // The claims were not looked at: whatever it is, it is not a yes.
	}
	return accepted
}

// requireCosignType refuses a simple signing payload that was signed for
// another purpose, such as GPG's "atomic container signature", which Cosign's
// claim verifier does not look at.
func requireCosignType(s oci.Signature) error {
	raw, err := s.Payload()
	if err != nil {
		return err
	}
	var p payload.SimpleContainerImage
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	if p.Critical.Type != payload.CosignSignatureType {
		return fmt.Errorf("the payload is not of type %q", payload.CosignSignatureType)
	}
	return nil
}
