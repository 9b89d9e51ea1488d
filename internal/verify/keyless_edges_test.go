package verify_test

import (
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// wrongEdges are ways to be only just wrong.
var wrongEdges = map[string]wrong{
	"log time after the certificate's life, beside a right timestamp": {func(_ testing.TB, a *attempt) {
		a.request.Timestamp, a.request.LogTime = true, hours(1)
	}, verify.ReasonCertificateInvalid, "was not valid when it was made", ""},
	"subject of another kind": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = sanOf(0x30, 4, 0x88, 2, 0x2a, 0x03) // registeredID
		a.spec = verify.IdentitySpec{Issuer: release.Issuer, SubjectRegExp: ".*"}
	}, verify.ReasonCertificateInvalid, "of a kind that Fulcio does not use", ""},
	"extension that is empty": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = claim(20, "\x0c\x00")
		a.spec = withExtensions(a.spec, "buildTrigger", "push")
	}, verify.ReasonIdentityMismatch, `buildTrigger "" and not "push"`, ""},
	"subject that is empty": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = sanOf(0x30, 2, 0x86, 0)
		a.spec = verify.IdentitySpec{Issuer: release.Issuer, SubjectRegExp: ".*"}
	}, verify.ReasonCertificateInvalid, "of a kind that Fulcio does not use", ""},
	"issuer that is too long": {func(_ testing.TB, a *attempt) {
		a.identity.Issuer = "https://" + strings.Repeat("x", 1025)
	}, verify.ReasonCertificateInvalid, "issuer or subject is longer than 1024 bytes", ""},
	"issuer that is not UTF-8": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = claim(1, "https://\xff")
	}, verify.ReasonCertificateInvalid, "its issuer is malformed", ""},
	"issuer with bytes after it": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = claim(8, "\x0c\x01x\x00")
	}, verify.ReasonCertificateInvalid, "its issuer is malformed", ""},
	"two issuers, one of them empty": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = claim(8, "\x0c\x00")
	}, verify.ReasonCertificateInvalid, "names two issuers", ""},

	"exact issuer that is only a prefix": {func(_ testing.TB, a *attempt) {
		a.spec.Issuer = a.spec.Issuer[:len(a.spec.Issuer)-1]
	}, verify.ReasonIdentityMismatch, "found 1 signature by", ""},

	"entry of Rekor v2 by another signer, as in Rekor v1": {func(_ testing.TB, a *attempt) {
		a.request.Timestamp = true
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			other := s.Clone() // the same signature
			other.Certificate = a.signer(t).Certificate
			s.Entries = []*rekorpb.TransparencyLogEntry{asRekor1(t, other)}
		}
	}, verify.ReasonTransparencyLogInvalid, "that of another signature", sigstore.FormatBundle},
}

// rightEdges are ways to be only just right.
var rightEdges = map[string]right{
	"eight log entries": {func(_ testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			for len(s.Entries) < 8 {
				s.Entries = append(s.Entries, loggedAgain(t, ours(t), s, time.Now()))
			}
		}
	}, sigstore.FormatBundle},
	"eight timestamps": {func(_ testing.TB, a *attempt) {
		a.request.Timestamp = true
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			for len(s.Timestamps) < 8 {
				s.Timestamps = append(s.Timestamps, s.Timestamps[0])
			}
		}
	}, sigstore.FormatBundle},
	"entry by another log after it": {func(_ testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			s.Entries = append(s.Entries, loggedAgain(t, theirs(t), s, time.Now()))
		}
	}, sigstore.FormatBundle},
	"entry by another log before it": {func(_ testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			s.Entries = append([]*rekorpb.TransparencyLogEntry{loggedAgain(t, theirs(t), s, time.Now())}, s.Entries...)
		}
	}, sigstore.FormatBundle},
	"entry by a log that was retired, beside it": {func(_ testing.TB, a *attempt) {
		a.request.Timestamp, a.roots.Valid.Rekor2.End = true, hours(-1)
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			b := *a
			b.request.Log = sigstore.Rekor2
			s.Entries = append(s.Entries, b.another(t).Entries...)
		}
	}, sigstore.FormatBundle},
	"chain of ten": {func(_ testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			most := 10
			if s.Format == sigstore.FormatBundle {
				s.BundleVersion, s.BundleChain, most = sigstore.Bundle01, true, 9 // and the certificate
			}
			for len(s.Chain) < most {
				s.Chain = append(s.Chain, s.Chain[0])
			}
		}
	}, ""},
	"log ignored, with an entry that cannot be read": {func(_ testing.TB, a *attempt) {
		a.mode, a.request.Timestamp = verify.LogIgnore, true
		a.edit = func(_ testing.TB, s *sigstore.Signed) {
			s.Annotations = map[string]string{"dev.sigstore.cosign/bundle": "{"}
		}
	}, sigstore.FormatCosign},
	"claims of 1024 bytes": {func(_ testing.TB, a *attempt) {
		a.identity.Issuer = "https://" + strings.Repeat("x", 1024-8)
		a.identity.Subject = "https://" + strings.Repeat("y", 1024-8)
		a.identity.Extensions = map[string]string{"buildTrigger": strings.Repeat("z", 1024)}
		a.spec = verify.IdentitySpec{IssuerRegExp: "https://x+", SubjectRegExp: "https://y+"}
	}, ""},
}

// loggedAgain is another log entry for what the signature is now.
func loggedAgain(t testing.TB, by *sigstore.Sigstore, s *sigstore.Signed, at time.Time) *rekorpb.TransparencyLogEntry {
	t.Helper()
	entry, err := by.Log1(s, at)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// sanOf is the extension for subject alternative names, as it is written.
func sanOf(raw ...byte) []pkix.Extension {
	return []pkix.Extension{{Id: []int{2, 5, 29, 17}, Critical: true, Value: raw}}
}

// claim is one of Fulcio's extensions, as it is written.
func claim(arc int, raw string) []pkix.Extension {
	return []pkix.Extension{{Id: sigstore.ExtensionOID(arc), Value: []byte(raw)}}
}
