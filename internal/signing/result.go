package signing

import (
	"encoding/hex"
	"time"

	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/assay-dev/assay/internal/verify"
)

// Result is what there is to say of a signature that was made.
type Result struct {
	// Repository is where it is attached, as in image references, and Digest what
	// was signed.
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	// Format is that of the signature.
	Format verify.Format `json:"format"`
	// KeyFingerprint is that of the public key, as [Key.Fingerprint] has it; empty
	// for a certificate.
	KeyFingerprint string `json:"keyFingerprint,omitempty"`
	// Issuer and Subject are what the certificate says of its holder; empty for a
	// key. Without a trusted root they are the certificate authority's word, and
	// may hold any character.
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Logs are where it is recorded.
	Logs []LogEntry `json:"transparencyLogs,omitempty"`
	// Timestamps are what timestamp authorities say.
	Timestamps []time.Time `json:"timestamps,omitempty"`
	// Verified says that a trusted root accepted it before it was attached.
	Verified bool `json:"verifiedByTrustedRoot"`
}

// LogEntry is where a signature is recorded.
type LogEntry struct {
	// URL is the log's, and ID what identifies it, in hexadecimal.
	URL string `json:"url"`
	ID  string `json:"logID"`
	// Index of the entry in the log.
	Index int64 `json:"index"`
	// IntegratedTime is when the log says that it recorded it; nil for Rekor v2,
	// which does not say.
	IntegratedTime *time.Time `json:"integratedTime,omitempty"`
}

func newResult(s *Signed) Result {
	r := Result{Repository: s.digest.Context().Name(), Digest: s.digest.DigestStr(), Format: s.options.Format}
	if s.issued.leaf == nil {
		r.KeyFingerprint = s.key.Fingerprint()
		return r
	}
	if summary, err := certificate.SummarizeCertificate(s.issued.leaf); err == nil {
		r.Issuer, r.Subject = summary.Issuer, summary.SubjectAlternativeName
	}
	return r
}

func newLogEntry(url string, entry *rekorpb.TransparencyLogEntry) LogEntry {
	e := LogEntry{URL: url, ID: hex.EncodeToString(entry.GetLogId().GetKeyId()), Index: entry.GetLogIndex()}
	if seconds := entry.GetIntegratedTime(); seconds != 0 {
		at := time.Unix(seconds, 0).UTC()
		e.IntegratedTime = &at
	}
	return e
}
