package verify_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"time"

	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// wrong is one way to be wrong. All but what it changes is right, and the
// certificate is valid now, so that no row passes because something expired.
type wrong struct {
	change func(t testing.TB, a *attempt)
	reason verify.Reason
	says   string
	// only is the format that can express it; both if it is empty.
	only sigstore.Format
}

// wrongIdentities are those of another signer.
var wrongIdentities = map[string]wrong{
	"wrong issuer": {func(_ testing.TB, a *attempt) { a.spec.Issuer += "/" },
		verify.ReasonIdentityMismatch, `issuer "https://token.actions.githubusercontent.com", subject "https://github.com/example-org/app/`, ""},
	"wrong subject": {func(_ testing.TB, a *attempt) { a.spec.Subject = strings.Replace(a.spec.Subject, "app", "apq", 1) },
		verify.ReasonIdentityMismatch, `found 1 signature by issuer "https://token`, ""},
	"issuer of another": {func(_ testing.TB, a *attempt) { a.identity.Issuer = sigstore.GitLabIssuer },
		verify.ReasonIdentityMismatch, `found 1 signature by issuer "https://gitlab.com"`, ""},
	"expression for a prefix of the subject": {func(_ testing.TB, a *attempt) {
		a.spec = verify.IdentitySpec{Issuer: release.Issuer, SubjectRegExp: `https://github\.com/example-org/app/`}
	}, verify.ReasonIdentityMismatch, "like `https://github\\.com/example-org/app/`", ""},
	"expression for a suffix of the issuer": {func(_ testing.TB, a *attempt) {
		a.spec = verify.IdentitySpec{IssuerRegExp: `token\.actions\.githubusercontent\.com`, Subject: release.Subject}
	}, verify.ReasonIdentityMismatch, "found 1 signature by", ""},
	"expression of which one branch has a prefix": {func(_ testing.TB, a *attempt) {
		a.spec = verify.IdentitySpec{Issuer: release.Issuer, SubjectRegExp: `x|https://github\.com/example-org/.*|y$`}
		a.identity.Subject = "https://github.com.evil.example/example-org/app"
	}, verify.ReasonIdentityMismatch, "evil", ""},
	"subject with a line after what matches": {func(_ testing.TB, a *attempt) {
		a.identity = sigstore.Identity{Issuer: release.Issuer, Subject: "user\nname"}
		a.spec = verify.IdentitySpec{Issuer: release.Issuer, SubjectRegExp: "user"}
	}, verify.ReasonIdentityMismatch, `"user\nname"`, ""},
	"missing extension": {func(_ testing.TB, a *attempt) {
		a.spec = withExtensions(a.spec, "deploymentEnvironment", "production")
	}, verify.ReasonIdentityMismatch, "without deploymentEnvironment", ""},
	"different extension": {func(_ testing.TB, a *attempt) {
		a.spec = withExtensions(a.spec, "githubWorkflowRef", "refs/heads/main")
	}, verify.ReasonIdentityMismatch, `githubWorkflowRef "refs/tags/v1.0.0" and not "refs/heads/main"`, ""},
	"one of two extensions": {func(_ testing.TB, a *attempt) {
		a.spec = withExtensions(a.spec, "runnerEnvironment", "github-hosted", "buildTrigger", "workflow_dispatch")
	}, verify.ReasonIdentityMismatch, `buildTrigger "push" and not "workflow_dispatch"`, ""},
	"second of two extensions": {func(_ testing.TB, a *attempt) {
		a.spec = withExtensions(a.spec, "buildTrigger", "push", "runnerEnvironment", "self-hosted")
	}, verify.ReasonIdentityMismatch, `runnerEnvironment "github-hosted" and not "self-hosted"`, ""},
	"subject in another case": {func(_ testing.TB, a *attempt) {
		a.spec.Subject = strings.Replace(a.spec.Subject, "example-org", "Example-Org", 1)
	}, verify.ReasonIdentityMismatch, "found 1 signature by", ""},
	"subject that is only a prefix": {func(_ testing.TB, a *attempt) { a.spec.Subject = a.spec.Subject[:40] },
		verify.ReasonIdentityMismatch, "found 1 signature by", ""},
	"subject that goes on": {func(_ testing.TB, a *attempt) { a.identity.Subject += ".evil.example" },
		verify.ReasonIdentityMismatch, "evil", ""},
	"extension that is only a prefix": {func(_ testing.TB, a *attempt) {
		a.spec = withExtensions(a.spec, "sourceRepositoryURI", "https://github.com/example-org/ap")
	}, verify.ReasonIdentityMismatch, "sourceRepositoryURI", ""},
}

// wrongCertificates do not prove who signed.
var wrongCertificates = map[string]wrong{
	"certificate from another root": {func(t testing.TB, a *attempt) { a.roots.CA = theirs(t) },
		verify.ReasonCertificateInvalid, "no authority of the trusted root issued its certificate", ""},
	"certificate by another instance": {func(t testing.TB, a *attempt) { a.issuedBy = theirs(t) },
		verify.ReasonCertificateInvalid, "no authority of the trusted root issued its certificate", ""},
	"authority that is trusted no more": {func(_ testing.TB, a *attempt) { a.roots.Valid.CA.End = hours(-1) },
		verify.ReasonCertificateInvalid, "no authority of the trusted root", ""},
	"certificate expired before signing": {func(_ testing.TB, a *attempt) { a.request.LogTime = time.Now().Add(10 * time.Minute) },
		verify.ReasonCertificateInvalid, "was not valid when it was made", ""},
	"certificate issued after signing": {func(_ testing.TB, a *attempt) { a.request.LogTime = hours(-1) },
		verify.ReasonCertificateInvalid, "was not valid when it was made", ""},
	"timestamp after the certificate's life": {func(_ testing.TB, a *attempt) {
		a.request.Timestamp, a.request.TimestampTime = true, hours(1)
	}, verify.ReasonCertificateInvalid, "was not valid when it was made", ""},
	"timestamp before the certificate's life": {func(_ testing.TB, a *attempt) {
		a.mode, a.request.Log, a.request.Timestamp, a.request.TimestampTime = verify.LogIgnore, sigstore.NoLog, true, hours(-1)
	}, verify.ReasonCertificateInvalid, "was not valid when it was made", ""},
	"missing SCT": {func(_ testing.TB, a *attempt) { a.certificate.NoSCT = true },
		verify.ReasonCertificateInvalid, "no certificate transparency log", ""},
	"wrong SCT": {func(_ testing.TB, a *attempt) { a.certificate.BrokenSCT = true },
		verify.ReasonCertificateInvalid, "no certificate transparency log", ""},
	"SCT by another log": {func(t testing.TB, a *attempt) { a.certificate.SCTBy = theirs(t) },
		verify.ReasonCertificateInvalid, "no certificate transparency log", ""},
	"SCT after its log's key was retired": {func(_ testing.TB, a *attempt) { a.roots.Valid.CTLog.End = hours(-1) },
		verify.ReasonCertificateInvalid, "no certificate transparency log", ""},
	"missing SCT, with the log ignored": {func(_ testing.TB, a *attempt) {
		a.mode, a.request.Timestamp, a.certificate.NoSCT = verify.LogIgnore, true, true
	}, verify.ReasonCertificateInvalid, "no certificate transparency log", ""},
	"certificate for servers": {func(_ testing.TB, a *attempt) { a.certificate.NoCodeSigning = true },
		verify.ReasonCertificateInvalid, "for signing code", ""},
	"two subjects": {func(_ testing.TB, a *attempt) { a.certificate.ExtraSubjects = []string{"dev@example.com"} },
		verify.ReasonCertificateInvalid, "2 subject alternative names, not 1", ""},
	"no subject": {func(_ testing.TB, a *attempt) { a.certificate.NoSubject = true },
		verify.ReasonCertificateInvalid, "0 subject alternative names, not 1", ""},
	"no issuer": {func(_ testing.TB, a *attempt) { a.certificate.NoIssuer = true },
		verify.ReasonCertificateInvalid, "names no issuer", ""},
	"no issuer, for any issuer": {func(_ testing.TB, a *attempt) {
		a.certificate.NoIssuer = true
		a.spec = verify.IdentitySpec{IssuerRegExp: ".*", Subject: release.Subject}
	}, verify.ReasonCertificateInvalid, "names no issuer", ""},
	"two issuers": {func(_ testing.TB, a *attempt) { other := "https://issuer.example"; a.certificate.IssuerV1 = &other },
		verify.ReasonCertificateInvalid, "names two issuers", ""},
	"extension that is not a string": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 20}, Value: []byte("push")}}
	}, verify.ReasonCertificateInvalid, "buildTrigger is malformed", ""},
	"host as subject": {func(_ testing.TB, a *attempt) {
		a.certificate.Edit = subjects(asn1.RawValue{Class: 2, Tag: 2, Bytes: []byte("host.example")})
	},
		verify.ReasonCertificateInvalid, "its subject alternative name is a host", ""},
	"address as subject": {func(_ testing.TB, a *attempt) {
		a.certificate.Edit = subjects(asn1.RawValue{Class: 2, Tag: 7, Bytes: []byte{192, 0, 2, 1}})
	},
		verify.ReasonCertificateInvalid, "its subject alternative name is a host", ""},
	"subject of a kind that the standard library passes over, beside": {func(_ testing.TB, a *attempt) {
		a.certificate.Edit = subjects(asn1.RawValue{Class: 2, Tag: 6, Bytes: []byte(release.Subject)}, asn1.RawValue{Class: 2, Tag: 8, Bytes: []byte{42, 3}})
	}, verify.ReasonCertificateInvalid, "2 subject alternative names, not 1", ""},
	"extension that is not UTF-8": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 2}, Value: []byte{0xff, 0xfe}}}
	}, verify.ReasonCertificateInvalid, "githubWorkflowTrigger is malformed", ""},
	"extension with more behind it": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 20}, Value: []byte{12, 1, 'x', 12, 1, 'y'}}}
	}, verify.ReasonCertificateInvalid, "is malformed", ""},
	"subject with bytes after it": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = []pkix.Extension{{
			Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: append(append([]byte{0x30, 13, 0x81, 11}, "a@example.b"...), 5, 0),
		}}
		a.spec.Subject, a.roots.CTLog, a.certificate.NoSCT = "a@example.b", nil, true
	}, verify.ReasonCertificateInvalid, "subject alternative name is malformed", ""},
	"extension that is too long": {func(_ testing.TB, a *attempt) {
		a.identity.Extensions = map[string]string{"buildTrigger": strings.Repeat("x", 1025)}
	}, verify.ReasonCertificateInvalid, "buildTrigger is longer than 1024 bytes", ""},
	"subject that is too long": {func(_ testing.TB, a *attempt) {
		a.identity.Subject = "https://" + strings.Repeat("x", 1025)
	}, verify.ReasonCertificateInvalid, "longer than 1024 bytes", ""},
	"critical extension that nobody knows": {func(_ testing.TB, a *attempt) {
		a.certificate.RawExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
	}, verify.ReasonCertificateInvalid, "no authority of the trusted root issued its certificate", ""},
	"no certificate": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) { s.Certificate, s.Chain = nil, nil }
	}, verify.ReasonCertificateInvalid, "without a certificate", ""},
	"certificate of somebody else": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			// Everything around it is about that certificate; only the signature is not its.
			s.Certificate = a.signer(t).Certificate
			relog(t, s)
		}
	}, verify.ReasonSignatureInvalid, "1 signature that", ""}, // Rekor's library notices first where it is a hashedrekord
	"chain of a thousand": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			for len(s.Chain) < 1000 {
				s.Chain = append(s.Chain, s.Chain[0])
			}
			s.BundleVersion, s.BundleChain = sigstore.Bundle01, true
		}
	}, verify.ReasonSignatureInvalid, "more than 10 certificates", ""},
}

// asRekor1 has a log of the kind of Rekor v1 hold an entry of Rekor v2, with
// only a proof: its library does not compare such an entry with the signature.
func asRekor1(t testing.TB, of *sigstore.Signed) *rekorpb.TransparencyLogEntry {
	t.Helper()
	body, err := of.Rekor2Body()
	if err != nil {
		t.Fatal(err)
	}
	entry, err := ours(t).LogRekor1(body, "hashedrekord", "0.0.2", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	entry.InclusionPromise = nil
	return entry
}

// subjects replaces the subject alternative names.
func subjects(names ...asn1.RawValue) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		raw, err := asn1.Marshal(names)
		if err != nil {
			panic(err) // They are constants.
		}
		c.URIs, c.EmailAddresses = nil, nil
		id := asn1.ObjectIdentifier{2, 5, 29, 17}
		c.ExtraExtensions = slices.DeleteFunc(c.ExtraExtensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: true, Value: raw})
	}
}

// relog logs a signature again, as what it is now.
func relog(t testing.TB, s *sigstore.Signed) {
	t.Helper()
	entry, err := ours(t).Log1(s, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.Entries[0] = entry
}

// wrongLogs do not prove that the signature is recorded, or when.
var wrongLogs = map[string]wrong{
	"missing log entry": {func(_ testing.TB, a *attempt) { a.request.Log = sigstore.NoLog },
		verify.ReasonTransparencyLogMissing, "carries no log entry", ""},
	"missing log entry, with a timestamp": {func(_ testing.TB, a *attempt) {
		a.request.Log, a.request.Timestamp = sigstore.NoLog, true
	}, verify.ReasonTransparencyLogMissing, "carries no log entry", ""},
	"entry by another log": {func(t testing.TB, a *attempt) { a.request.LogBy = theirs(t) },
		verify.ReasonTransparencyLogInvalid, "by no log of the trusted root", ""},
	"root with another log": {func(t testing.TB, a *attempt) { a.roots.Rekor1 = theirs(t) },
		verify.ReasonTransparencyLogInvalid, "by no log of the trusted root", ""},
	"entry after its log's key was retired": {func(_ testing.TB, a *attempt) { a.roots.Valid.Rekor1.End = hours(-1) },
		verify.ReasonTransparencyLogInvalid, "its log entry does not verify", ""},
	"spliced entry": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) { s.Entries = a.another(t).Entries }
	}, verify.ReasonTransparencyLogInvalid, "that of another signature", ""},
	"entry of another artifact by the same signer": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			b := *a
			b.request.Digest = another
			s.Entries = b.another(t).Entries
		}
	}, verify.ReasonTransparencyLogInvalid, "that of another signature", ""},
	"entry with another time": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) { s.Entries[0].IntegratedTime++ }
	}, verify.ReasonTransparencyLogInvalid, "its log entry does not verify", ""},
	"entry with another index": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) { s.Entries[0].LogIndex++ }
	}, verify.ReasonTransparencyLogInvalid, "its log entry does not verify", ""},
	"entry with another promise": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			s.Entries[0].InclusionPromise.SignedEntryTimestamp[20] ^= 1
		}
	}, verify.ReasonTransparencyLogInvalid, "its log entry does not verify", ""},
	"entry with another proof": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) { s.Entries[0].InclusionProof.RootHash[3] ^= 1 }
	}, verify.ReasonTransparencyLogInvalid, "its log entry does not verify", sigstore.FormatBundle},
	"entry of Rekor v2 with another proof": {func(t testing.TB, a *attempt) {
		a.request.Log, a.request.Timestamp = sigstore.Rekor2, true
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			s.Entries[0].InclusionProof.Checkpoint = a.another(t).Entries[0].InclusionProof.Checkpoint
		}
	}, verify.ReasonTransparencyLogInvalid, "its log entry does not verify", sigstore.FormatBundle},
	"spliced entry of Rekor v2": {func(t testing.TB, a *attempt) {
		a.request.Log, a.request.Timestamp = sigstore.Rekor2, true
		a.edit = func(t testing.TB, s *sigstore.Signed) { s.Entries = a.another(t).Entries }
	}, verify.ReasonTransparencyLogInvalid, "that of another signature", sigstore.FormatBundle},
	"entry of Rekor v2 by another log": {func(t testing.TB, a *attempt) {
		a.request.Log, a.request.LogBy, a.request.Timestamp = sigstore.Rekor2, theirs(t), true
	}, verify.ReasonTransparencyLogInvalid, "by no log of the trusted root", sigstore.FormatBundle},
	"entry of Rekor v2 after its log's key was retired": {func(t testing.TB, a *attempt) {
		a.request.Log, a.request.Timestamp, a.roots.Valid.Rekor2.End = sigstore.Rekor2, true, hours(-1)
	}, verify.ReasonTransparencyLogInvalid, "that was in use then", sigstore.FormatBundle},
	"entry of Rekor v2 in a log of the kind of Rekor v1": {func(_ testing.TB, a *attempt) {
		a.request.Timestamp = true
		a.edit = func(t testing.TB, s *sigstore.Signed) { s.Entries = []*rekorpb.TransparencyLogEntry{asRekor1(t, s)} }
	}, verify.ReasonTransparencyLogInvalid, "that of another signature", sigstore.FormatBundle},
	"entry of Rekor v2 of another signature, in a log of the kind of Rekor v1": {func(_ testing.TB, a *attempt) {
		a.request.Timestamp = true
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			other := s.Clone()
			other.Signature = a.another(t).Signature
			s.Entries = []*rekorpb.TransparencyLogEntry{asRekor1(t, other)}
		}
	}, verify.ReasonTransparencyLogInvalid, "that of another signature", sigstore.FormatBundle},
	"entry of Rekor v2 before its log's key was in use": {func(_ testing.TB, a *attempt) {
		a.request.Log, a.request.Timestamp, a.roots.Valid.Rekor2.Start = sigstore.Rekor2, true, hours(1)
	}, verify.ReasonTransparencyLogInvalid, "that was in use then", sigstore.FormatBundle},
	"right entry beside a spliced one": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) { s.Entries = append(s.Entries, a.another(t).Entries...) }
	}, verify.ReasonTransparencyLogInvalid, "that of another signature", sigstore.FormatBundle},
	"nine entries": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			for len(s.Entries) < 9 {
				s.Entries = append(s.Entries, s.Entries[0])
			}
		}
	}, verify.ReasonSignatureInvalid, "more than 8 log entries", sigstore.FormatBundle},
}

// wrongTimes leave it open when the signature was made.
var wrongTimes = map[string]wrong{
	"no trusted time: proof without a promise": {func(_ testing.TB, a *attempt) { a.request.ProofOnly = true },
		verify.ReasonTimestampInvalid, "says when it was made", sigstore.FormatBundle},
	"no trusted time: Rekor v2 without a timestamp": {func(_ testing.TB, a *attempt) { a.request.Log = sigstore.Rekor2 },
		verify.ReasonTimestampInvalid, "says when it was made", sigstore.FormatBundle},
	"no trusted time: log ignored, no timestamp": {func(_ testing.TB, a *attempt) { a.mode, a.request.Log = verify.LogIgnore, sigstore.NoLog },
		verify.ReasonTimestampInvalid, "says when it was made", ""},
	"no trusted time: the log's time counts only where the log does": {func(_ testing.TB, a *attempt) { a.mode = verify.LogIgnore },
		verify.ReasonTimestampInvalid, "says when it was made", ""},
	"timestamp authority not in the root": {func(t testing.TB, a *attempt) {
		a.mode, a.request.Log, a.request.Timestamp, a.request.TimestampBy = verify.LogIgnore, sigstore.NoLog, true, theirs(t)
	}, verify.ReasonTimestampInvalid, "by no authority of the trusted root", ""},
	"timestamp authority not in the root, beside a log entry": {func(t testing.TB, a *attempt) {
		a.request.Timestamp, a.request.TimestampBy = true, theirs(t)
	}, verify.ReasonTimestampInvalid, "by no authority of the trusted root", ""},
	"timestamp authority that is trusted no more": {func(t testing.TB, a *attempt) {
		a.mode, a.request.Timestamp, a.roots.Valid.TSA.End = verify.LogIgnore, true, hours(-1)
	}, verify.ReasonTimestampInvalid, "by no authority of the trusted root", ""},
	"timestamp of another signature": {func(t testing.TB, a *attempt) {
		a.mode, a.request.Timestamp = verify.LogIgnore, true
		a.edit = func(t testing.TB, s *sigstore.Signed) { s.Timestamps = a.another(t).Timestamps }
	}, verify.ReasonTimestampInvalid, "of another signature", ""},
	"timestamp that is none": {func(t testing.TB, a *attempt) {
		a.mode, a.request.Timestamp = verify.LogIgnore, true
		a.edit = func(t testing.TB, s *sigstore.Signed) { s.Timestamps = [][]byte{[]byte("now")} }
	}, verify.ReasonTimestampInvalid, "of another signature, or by no authority", ""},
	"nine timestamps": {func(t testing.TB, a *attempt) {
		a.request.Timestamp = true
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			for len(s.Timestamps) < 9 {
				s.Timestamps = append(s.Timestamps, s.Timestamps[0])
			}
		}
	}, verify.ReasonSignatureInvalid, "more than 8 log entries or timestamps", sigstore.FormatBundle},
}

// wrongContents are not signatures over the digest.
var wrongContents = map[string]wrong{
	"over another digest": {func(_ testing.TB, a *attempt) { a.request.Digest = another },
		verify.ReasonSignatureInvalid, "by a trusted signer over something else", ""},
	"over another digest, by another": {func(_ testing.TB, a *attempt) {
		a.request.Digest, a.spec.Subject = another, "dev@example.com"
	}, verify.ReasonSignatureInvalid, "found 1 signature over something else", ""},
	"provenance": {func(_ testing.TB, a *attempt) { a.request.PredicateType = slsaPredicate },
		verify.ReasonNoSignature, "1 attestation found, which is not a signature", sigstore.FormatBundle},
	"bill of materials": {func(_ testing.TB, a *attempt) { a.request.PredicateType = "https://spdx.dev/Document" },
		verify.ReasonNoSignature, "1 attestation found, which is not a signature", sigstore.FormatBundle},
	"payload of another purpose": {func(_ testing.TB, a *attempt) {
		a.request.Payload = []byte(`{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":"` + artifact + `"},"type":"atomic container signature"},"optional":null}`)
	}, verify.ReasonSignatureInvalid, "over something else", sigstore.FormatCosign},
	"one byte of the signature": {func(_ testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			s.Signature[len(s.Signature)-1] ^= 1
			relog(t, s)
		}
	}, verify.ReasonSignatureInvalid, "1 signature that", ""},
}

// Every way to be wrong is refused, with a reason of its own, in each format
// that can express it.
func TestKeylessRefuses(t *testing.T) {
	for kind, rows := range map[string]map[string]wrong{
		"identity": wrongIdentities, "certificate": wrongCertificates, "log": wrongLogs, "time": wrongTimes, "content": wrongContents,
		"edge": wrongEdges, "annotation": wrongAnnotations,
	} {
		for name, row := range rows {
			for _, format := range bothFormats {
				if row.only != "" && row.only != format {
					continue
				}
				t.Run(kind+"/"+name+"/"+string(format), func(t *testing.T) {
					a := rightAttempt(t, format)
					row.change(t, a)
					refusal := wantRefusal(t, row.reason, a.policy(t), artifact, withNumbers(signatureOf(t, a.sign(t))))
					if !strings.Contains(refusal.Message, row.says) || !strings.HasPrefix(refusal.Message, artifact) {
						t.Errorf("expected a message about %s that says %q, found %s", artifact, row.says, refusal.Message)
					}
					if row.reason != verify.ReasonIdentityMismatch {
						wantUnnamed(t, a, refusal)
					}
				})
			}
		}
	}
}

// wantUnnamed checks that a message does not say who a signature says signed
// it: it did not verify.
func wantUnnamed(t *testing.T, a *attempt, refusal *verify.Refusal) {
	t.Helper()
	for _, claim := range []string{"example-org/app@", "dev@example.com", "commit"} {
		if strings.Contains(refusal.Message, claim) && !strings.Contains(a.spec.Subject, claim) {
			t.Errorf("the message repeats %q, which nobody verified: %s", claim, refusal.Message)
		}
	}
}

// A bundle with no verification material is no bundle.
func TestBundleWithoutMaterial(t *testing.T) {
	a := rightAttempt(t, sigstore.FormatBundle)
	signed := signatureOf(t, a.sign(t))
	for name, cut := range map[string][2]string{
		"none":           {`"verificationMaterial":`, `"x509Material":`},
		"no certificate": {`"certificate":{"rawBytes":`, `"certificate":{"rawBytex":`},
	} {
		t.Run(name, func(t *testing.T) {
			s := signed
			s.Payload = []byte(strings.Replace(string(signed.Payload), cut[0], cut[1], 1))
			if string(s.Payload) == string(signed.Payload) {
				t.Fatal("nothing was changed")
			}
			wantRefusal(t, verify.ReasonSignatureInvalid, a.policy(t), artifact, s)
		})
	}
}

// Of several signatures, the reason is that of the one that got furthest:
// whatever is worse beside it does not change it, in either order.
func TestKeylessReasonIsThatOfTheFurthest(t *testing.T) {
	made := func(change func(a *attempt)) verify.Signature {
		a := rightAttempt(t, sigstore.FormatBundle)
		change(a)
		return signatureOf(t, a.sign(t))
	}
	ladder := []struct {
		reason    verify.Reason
		says      string
		signature verify.Signature
	}{
		{verify.ReasonNoSignature, "1 attestation", made(func(a *attempt) { a.request.PredicateType = slsaPredicate })},
		{verify.ReasonSignatureInvalid, "cannot be read", verify.Signature{Format: verify.FormatBundle}},
		{verify.ReasonCertificateInvalid, "by a key, without a certificate", bundleSigned(t, artifact, p256(t, "stranger"))},
		{verify.ReasonTransparencyLogMissing, "carries no log entry", made(func(a *attempt) { a.request.Log = sigstore.NoLog })},
		{verify.ReasonTransparencyLogInvalid, "by no log of the trusted root", made(func(a *attempt) { a.request.LogBy = theirs(t) })},
		{verify.ReasonTimestampInvalid, "says when it was made", made(func(a *attempt) { a.request.Log = sigstore.Rekor2 })},
		{verify.ReasonCertificateInvalid, "issued its certificate", made(func(a *attempt) { a.issuedBy = theirs(t) })},
		{verify.ReasonSignatureInvalid, "that the library of its format refuses, though all around it verifies", made(func(a *attempt) {
			a.edit = func(t testing.TB, s *sigstore.Signed) { s.Signature[len(s.Signature)-1] ^= 1; relog(t, s) }
		})},
		{verify.ReasonSignatureInvalid, "1 signature over something else", made(func(a *attempt) {
			a.request.Digest = another
			be(a, sigstore.Email("dev@example.com", "https://accounts.example"))
		})},
		{verify.ReasonIdentityMismatch, "dev@example.com", made(func(a *attempt) { be(a, sigstore.Email("dev@example.com", "https://accounts.example")) })},
		{verify.ReasonSignatureInvalid, "by a trusted signer over something else", made(func(a *attempt) { a.request.Digest = another })},
	}
	policy := rightAttempt(t, sigstore.FormatBundle).policy(t)
	for i, rung := range ladder {
		for j := range i {
			for _, signatures := range [][]verify.Signature{{rung.signature, ladder[j].signature}, {ladder[j].signature, rung.signature}} {
				if refusal := wantRefusal(t, rung.reason, policy, artifact, signatures...); !strings.Contains(refusal.Message, rung.says) {
					t.Errorf("expected a message that says %q beside one that says %q, found %s", rung.says, ladder[j].says, refusal.Message)
				}
			}
		}
	}
	// A key that is trusted besides does not make a certificate's shortfall one
	// of its own.
	mixed := threshold(1, policy.Authorities[0], authority(t, "key", p256(t, "signer")))
	wantRefusal(t, verify.ReasonKeyMismatch, mixed, artifact, ladder[2].signature)
	for _, rung := range ladder[3:] {
		wantRefusal(t, rung.reason, mixed, artifact, rung.signature)
	}
}
