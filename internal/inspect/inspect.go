// Package inspect reads what signatures and attestations say of themselves, for
// a person who looks at what is there, and proposes the policy that would accept
// them.
//
// It reads claims. Nothing of what it returns has verified, unless Found.Verified
// says so, and whoever may push to a repository can put anything there.
package inspect

import (
	"crypto/x509"
	"time"

	"github.com/assay-dev/assay/internal/verify"
)

// Kind is what was found.
type Kind string

// The kinds.
const (
	// Signature is over the digest and nothing else.
	Signature Kind = "signature"
	// Attestation says something about the digest; no verdict looks at it.
	Attestation Kind = "attestation"
	// Unreadable is neither, or malformed.
	Unreadable Kind = "unreadable"
)

// Found is one signature or attestation, as it describes itself.
type Found struct {
	Kind   Kind
	Format verify.Format
	// Problem says why nothing can be read, or not all; it repeats nothing of the
	// content.
	Problem string
	// PredicateType is that of the in-toto statement; empty for a signature in
	// Cosign's v2 format.
	PredicateType string
	// NamesDigest says that what was signed names the digest that was looked at.
	NamesDigest bool
	// Certificate is nil for a key.
	Certificate *Certificate
	// KeyHint is what a bundle says of the key that made it: its fingerprint, if
	// Cosign wrote it.
	KeyHint string
	// Keys are the public keys in log entries, where there is no certificate.
	Keys []verify.Key
	// KeysPEM are the same, in PEM.
	KeysPEM []string
	Logs    []LogEntry
	// Timestamps are those in RFC 3161 timestamps.
	Timestamps []time.Time

	raw verify.Signature
}

// Certificate is what a certificate says.
type Certificate struct {
	verify.Claims
	// Problem says why it names no signer whom a policy could name.
	Problem             string
	NotBefore, NotAfter time.Time
}

// LogEntry is where a transparency log is said to have recorded it.
type LogEntry struct {
	// ID is the log's, in hexadecimal.
	ID    string
	Index int64
	// IntegratedTime is the log's word in Rekor v1; zero where it gives none.
	IntegratedTime time.Time
}

// Read reads one signature, or an attestation. A library that panics at it makes
// it unreadable.
func Read(digest string, s verify.Signature) (f Found) {
	defer func() {
		if recover() != nil {
			f = Found{Kind: Unreadable, Format: s.Format, Problem: "it makes a library fail", raw: s}
		}
	}()
	switch s.Format {
	case verify.FormatBundle:
		f = readBundle(digest, s)
	default:
		f = readCosign(digest, s)
	}
	f.Format, f.raw = s.Format, s
	if f.Problem != "" && f.Kind == "" {
		f.Kind = Unreadable
	}
	return f
}

func certificateOf(c *x509.Certificate) *Certificate {
	claims, err := verify.ReadClaims(c)
	read := &Certificate{Claims: claims, NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC()}
	if err != nil {
		read.Problem = err.Error()
	}
	return read
}
