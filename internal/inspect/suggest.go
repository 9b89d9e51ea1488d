package inspect

import (
	"errors"
	"fmt"

	"github.com/assay-dev/assay/internal/verify"
)

// Suggestion is the authority that would accept a signature, by what it claims.
type Suggestion struct {
	// Identity is whom the certificate names; nil for a key.
	Identity *verify.IdentitySpec
	// KeyPEM is the public key that its log entry names; empty where nothing does,
	// and for a certificate.
	KeyPEM string
	// TransparencyLog is what the signature has enough of.
	TransparencyLog verify.LogMode
	// Verified is the verdict under that authority, by the given root; nil where
	// it was not judged, or not yes.
	Verified *verify.Signer
	// Refusal is why not.
	Refusal error
}

// errNoKey says that no key can be suggested.
var errNoKey = errors.New("not judged: it does not hold the key that made it")

// Suggest proposes the authority for a signature, and judges the signature under
// it. A nil root judges only what needs none. It is an error where no authority
// could accept it.
func (f Found) Suggest(digest string, root *verify.TrustedRoot) (Suggestion, error) {
	if f.Kind != Signature {
		return Suggestion{}, errors.New("it is not a signature")
	}
	s := Suggestion{TransparencyLog: verify.LogRequire}
	if len(f.Logs) == 0 {
		s.TransparencyLog = verify.LogIgnore
	}
	authority := verify.Authority{Name: "suggested", TransparencyLog: s.TransparencyLog, Root: root}
	switch {
	case f.Certificate != nil && f.Certificate.Problem != "":
		return Suggestion{}, fmt.Errorf("its certificate names no signer: %s", f.Certificate.Problem)
	case f.Certificate != nil:
		s.Identity = &verify.IdentitySpec{Issuer: f.Certificate.Issuer, Subject: f.Certificate.Subject}
		identity, err := verify.NewIdentity(*s.Identity)
		if err != nil {
			return Suggestion{}, fmt.Errorf("its certificate names no signer whom a policy could name: %w", err)
		}
		authority.Identities = []verify.Identity{identity}
	case len(f.Keys) > 0:
		s.KeyPEM, authority.Keys = f.KeysPEM[0], f.Keys[:1]
	default:
		s.Refusal = errNoKey
		return s, nil
	}
	s.judge(digest, authority, f.raw)
	return s, nil
}

func (s *Suggestion) judge(digest string, authority verify.Authority, signature verify.Signature) {
	policy := verify.Policy{Threshold: 1, Authorities: []verify.Authority{authority}}
	v, err := verify.Verify(policy, digest, []verify.Signature{signature})
	var invalid *verify.PolicyError
	switch {
	case errors.As(err, &invalid) && authority.Root == nil:
		s.Refusal = errors.New("not judged without a trusted root")
	case err != nil:
		s.Refusal = err
	default:
		s.Verified = &v.Signers()[0]
	}
}
