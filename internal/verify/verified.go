package verify

import "slices"

// Verified is the proof that a digest was judged and accepted. Only [Verify]
// makes one: its fields are unexported, and whoever takes a Verified must
// refuse the zero value (see [Verified.IsZero]). Fetching and publishing take
// a Verified, so that no code path leads from registry bytes to a published
// artifact without a verdict.
type Verified struct {
	digest     string
	policyHash string
	signers    []Signer
}

// Signer is one accepted signature: the evidence that status reports.
type Signer struct {
	// Authority is the name of the authority in the policy that the signature
	// satisfied.
	Authority string
	// Format is the format of the signature.
	Format Format
	// KeyFingerprint is "sha256:" and the hexadecimal SHA-256 of the DER
	// encoded SubjectPublicKeyInfo (RFC 5280, section 4.1) of the public key
	// that verified the signature.
	KeyFingerprint string
}

// IsZero reports whether v proves nothing.
func (v Verified) IsZero() bool { return v.digest == "" }

// Digest is the digest that was judged, as "sha256:<64 hexadecimal digits>".
func (v Verified) Digest() string { return v.digest }

// PolicyHash is the [Policy.Hash] of the policy that accepted the digest.
func (v Verified) PolicyHash() string { return v.policyHash }

// Signers are the accepted signatures, one for each satisfied authority, in
// the order of the policy's authorities. The caller may keep the slice.
func (v Verified) Signers() []Signer { return slices.Clone(v.signers) }
