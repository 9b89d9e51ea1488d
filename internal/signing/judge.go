package signing

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sigstore/cosign/v2/pkg/oci/static"

	"github.com/assay-dev/assay/internal/verify"
)

// anyone is the identity of whoever has a certificate: whose it is, is what the
// token said.
var anyone = verify.IdentitySpec{IssuerRegExp: "(?s).+", SubjectRegExp: "(?s).+"}

// judge asks for the verdict on the signature, with the code that judges it in a
// cluster: as it is about to be written, under the trusted root. A key without a
// log needs no root.
func (s *Signed) judge() error {
	policy, err := s.policy()
	if err != nil || policy == nil {
		return err
	}
	written, err := s.written()
	if err != nil {
		return err
	}
	verified, err := verify.Verify(*policy, s.digest.DigestStr(), []verify.Signature{written})
	if refusal := (*verify.Refusal)(nil); errors.As(err, &refusal) {
		return fmt.Errorf("nothing was attached: what was signed is refused before it is attached: %w", err)
	}
	if err != nil {
		return fmt.Errorf("nothing was attached: the trusted root is not for this signature: %w", err)
	}
	signer := verified.Signers()[0]
	s.result.Issuer, s.result.Subject = signer.Issuer, signer.Subject
	s.result.Verified = s.options.Root != nil
	return nil
}

// policy trusts who signed; nil where that takes a trusted root and there is none.
func (s *Signed) policy() (*verify.Policy, error) {
	a := verify.Authority{Name: "signer", TransparencyLog: verify.LogIgnore, Root: s.options.Root}
	if s.issued.leaf == nil {
		public, err := s.key.PublicPEM()
		if err != nil {
			return nil, err
		}
		if a.Keys, err = verify.ParseKeys(public); err != nil {
			return nil, fmt.Errorf("the public key: %w", err)
		}
	} else {
		identity, err := verify.NewIdentity(anyone)
		if err != nil {
			return nil, err
		}
		a.Identities = []verify.Identity{identity}
	}
	switch {
	case s.options.Root == nil && s.issued.leaf != nil:
		return nil, nil
	case s.options.Root != nil && len(s.options.Services.Logs) > 0:
		a.TransparencyLog = verify.LogRequire
	}
	return &verify.Policy{Threshold: 1, Authorities: []verify.Authority{a}}, nil
}

// written is the signature as a registry would give it back.
func (s *Signed) written() (verify.Signature, error) {
	if s.options.Format == verify.FormatBundle {
		document, err := s.bundleJSON()
		return verify.Signature{Format: verify.FormatBundle, Payload: document}, err
	}
	signature, err := s.cosign()
	if err != nil {
		return verify.Signature{}, err
	}
	annotations, err := signature.Annotations()
	if err != nil {
		return verify.Signature{}, err
	}
	if annotations[static.SignatureAnnotationKey] == "" {
		return verify.Signature{}, errors.New("the signature has no annotation")
	}
	raw, err := json.Marshal(annotations)
	return verify.Signature{Format: verify.FormatCosign, Payload: s.payload, Annotations: raw}, err
}
