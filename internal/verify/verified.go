package verify

import (
	"cmp"
	"slices"
	"time"
)

// Verified is the proof that a digest was judged and accepted. Only [Verify] and
// [Until] make one: its fields are unexported, and whoever takes a Verified must
// refuse the zero value (see [Verified.IsZero]). Fetching and publishing take a
// Verified, so that no code path leads from registry bytes to a published
// artifact without a verdict.
type Verified struct {
	digest     string
	policyHash string
	signers    []Signer
	panics     int
}

// Signer is one accepted signature: the evidence that status reports. All of it
// has verified.
type Signer struct {
	// Authority is the name of the authority in the policy that the signature
	// satisfied.
	Authority string
	// Format is the format of the signature.
	Format Format
	// KeyFingerprint is "sha256:" and the hexadecimal SHA-256 of the DER
	// encoded SubjectPublicKeyInfo (RFC 5280, section 4.1) of the public key
	// that verified the signature; empty for a certificate.
	KeyFingerprint string
	// Issuer is the OpenID Connect issuer that vouched for the signer, and
	// Subject the certificate's subject alternative name; empty for a key.
	Issuer, Subject string
	// Extensions are what the certificate says besides, in the order of
	// [ExtensionNames].
	Extensions []Extension
	// Log is where the signature is recorded; nil where the log is ignored.
	Log *LogEntry
	// SignedTimestamp is the earliest time at which a timestamp authority of
	// the trusted root saw the signature; zero where none did, or none is asked.
	SignedTimestamp time.Time
}

// LogEntry is where a transparency log recorded a signature.
type LogEntry struct {
	// LogID identifies the log, in hexadecimal: in Rekor v1 the SHA-256 of its
	// key.
	LogID string
	// URL is the log's, as the trusted root has it.
	URL string
	// Index of the entry in the log.
	Index int64
	// IntegratedTime is when the log recorded it, as it promised; zero where it
	// did not, as in Rekor v2.
	IntegratedTime time.Time
}

// before orders entries: the one with the earliest promised time first.
func (e *LogEntry) before(other *LogEntry) bool {
	if e.IntegratedTime.IsZero() != other.IntegratedTime.IsZero() {
		return other.IntegratedTime.IsZero()
	}
	return cmp.Or(e.IntegratedTime.Compare(other.IntegratedTime), cmp.Compare(e.LogID, other.LogID), cmp.Compare(e.Index, other.Index)) < 0
}

// id tells signers apart: one key is one signer, and so is one identity,
// whatever root vouches for it and however often it signs.
func (s Signer) id() string {
	return string(encode([]string{s.KeyFingerprint, s.Issuer, s.Subject}))
}

// before orders signatures by one signer, so that the evidence does not follow
// the order in which a registry lists them.
func (s Signer) before(other Signer) bool {
	if s.Format != other.Format {
		return s.Format < other.Format
	}
	switch {
	case s.Log != nil && other.Log != nil && *s.Log != *other.Log:
		return s.Log.before(other.Log)
	case (s.Log != nil) != (other.Log != nil):
		return s.Log != nil
	case !s.SignedTimestamp.Equal(other.SignedTimestamp):
		return s.SignedTimestamp.Before(other.SignedTimestamp)
	}
	return string(encode(s.Extensions)) < string(encode(other.Extensions))
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

// Panics is how many panics of libraries over untrusted bytes were caught on the
// way to the verdict. It must be 0, also where signatures are hostile: what is
// known to make a library panic is refused before it gets there. Each is a
// defect to be looked for; a signature that causes one counts for nothing.
func (v Verified) Panics() int { return v.panics }
