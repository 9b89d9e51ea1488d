package sigstore_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assay-dev/assay/test/sigstore"
)

// wrong is a signature that must be refused.
type wrong struct {
	certificate sigstore.CertificateOptions
	request     sigstore.Request
	edit        func(*testing.T, *sigstore.Signed)
	roots       func(*sigstore.Roots)
	policy      policy

	// What the error says, by format. Where it is empty the case is not for
	// the format, or its library accepts it.
	cosign, bundle string
}

// forge makes the signature in a format, and has the library of the format
// verify it.
func (w wrong) forge(t *testing.T, s *sigstore.Sigstore, format sigstore.Format) error {
	t.Helper()
	w.request.Format = format
	signed := sign(t, s, issue(t, s, w.certificate), w.request)
	if w.edit != nil {
		w.edit(t, signed)
	}
	roots := s.Roots()
	if w.roots != nil {
		w.roots(&roots)
	}
	document, err := sigstore.TrustedRoot(roots)
	if err != nil {
		t.Fatal(err)
	}
	return w.policy.verify(t, signed, trust(t, document), nil)
}

// run makes sure that each is refused, and for its reason, in both formats.
func run(t *testing.T, s *sigstore.Sigstore, tests map[string]wrong) {
	t.Helper()
	for name, test := range tests {
		for format, want := range map[sigstore.Format]string{
			sigstore.FormatCosign: test.cosign,
			sigstore.FormatBundle: test.bundle,
		} {
			if want == "" {
				continue
			}
			t.Run(string(format)+", "+name, func(t *testing.T) {
				if err := test.forge(t, s, format); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("refused with %v, want %q", err, want)
				}
			})
		}
	}
}

const (
	badChain    = "leaf certificate verification failed"
	badSCT      = "only able to verify 0 SCT entries"
	badIdentity = "none of the expected identities matched"
	noEntry     = "not enough verified log entries from transparency log: 0 < 1"
	noTimestamp = "threshold not met for verified signed timestamps: 0 < 1"
	unknownLog  = "rekor log public key not found for payload"
	badSET      = "unable to verify SET"
	noRefusal   = "index out of range" // see recovered
)

var (
	long = time.Now().Add(-24 * time.Hour)

	logged      = policy{log: true, observer: true}
	timestamped = policy{timestamp: true}
	twice       = policy{log: true, timestamp: true}

	inRekor1      = sigstore.Request{Log: sigstore.Rekor1}
	inRekor2      = sigstore.Request{Log: sigstore.Rekor2, Timestamp: true}
	withTimestamp = sigstore.Request{Timestamp: true}
)

func TestWrongCertificates(t *testing.T) {
	s, other := newSigstore(t), newSigstore(t)
	tests := map[string]wrong{
		"no SCT": {
			certificate: sigstore.CertificateOptions{NoSCT: true},
			cosign:      "certificate does not include required embedded SCT", bundle: badSCT,
		},
		"broken SCT": {
			certificate: sigstore.CertificateOptions{BrokenSCT: true},
			cosign:      badSCT, bundle: badSCT,
		},
		"SCT of another log": {
			certificate: sigstore.CertificateOptions{SCTBy: other},
			cosign:      badSCT, bundle: badSCT,
		},
		"SCT after the end of the log's key": {
			roots:  func(r *sigstore.Roots) { r.Valid.CTLog.End = long },
			cosign: badSCT, bundle: badSCT,
		},
		"SCT before the start of the log's key": {
			certificate: sigstore.CertificateOptions{SCTTime: long.Add(-time.Hour)},
			roots:       func(r *sigstore.Roots) { r.Valid.CTLog.Start = long },
			cosign:      badSCT, bundle: badSCT,
		},
		"another log trusted": {
			roots:  func(r *sigstore.Roots) { r.CTLog = other },
			cosign: badSCT, bundle: badSCT,
		},
		"no log trusted": {
			roots:  func(r *sigstore.Roots) { r.CTLog = nil },
			cosign: badSCT, bundle: badSCT,
		},
		"another authority trusted": {
			roots:  func(r *sigstore.Roots) { r.CA = other },
			cosign: badChain, bundle: badChain,
		},
		"no authority trusted": {
			roots:  func(r *sigstore.Roots) { r.CA = nil },
			cosign: badChain, bundle: badChain,
		},
		"after the end of the authority": {
			roots:  func(r *sigstore.Roots) { r.Valid.CA.End = long },
			cosign: badChain, bundle: badChain,
		},
		"before the start of the authority": {
			roots:  func(r *sigstore.Roots) { r.Valid.CA.Start = time.Now().Add(time.Hour) },
			cosign: badChain, bundle: badChain,
		},
		"not for code": {
			certificate: sigstore.CertificateOptions{NoCodeSigning: true},
			cosign:      badChain, bundle: badChain,
		},
		"no subject": {
			certificate: sigstore.CertificateOptions{NoSubject: true},
			cosign:      badIdentity, bundle: "no Subject Alternative Name found",
		},
		"no issuer": {
			certificate: sigstore.CertificateOptions{NoIssuer: true},
			cosign:      badIdentity, bundle: "failed to verify certificate identity",
		},
		"another issuer in the second extension": {
			// The library of cosign v2 believes the first one.
			certificate: sigstore.CertificateOptions{IssuerV2: new("https://other.example")},
			bundle:      "failed to verify certificate identity",
		},
		"another issuer in the first extension": {
			// sigstore-go believes the second one.
			certificate: sigstore.CertificateOptions{IssuerV1: new("https://other.example")},
			cosign:      badIdentity,
		},
		"unknown critical extension": {
			certificate: sigstore.CertificateOptions{RawExtensions: []pkix.Extension{
				{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{asn1.TagNull, 0}},
			}},
			cosign: badChain, bundle: badChain,
		},
		"expired when logged": {
			certificate: sigstore.CertificateOptions{NotBefore: long},
			cosign:      "certificate expired before signatures were entered in log", bundle: "integrated time outside certificate validity",
		},
		"issued after it was logged": {
			request: sigstore.Request{Log: sigstore.Rekor1, LogTime: long},
			cosign:  "certificate was issued after signatures were entered in log", bundle: "integrated time outside certificate validity",
		},
	}
	for name, test := range tests {
		test.policy = logged
		if test.request.Log == sigstore.NoLog {
			test.request = inRekor1
		}
		tests[name] = test
	}
	run(t, s, tests)
}

func TestWrongTimestamps(t *testing.T) {
	s, other := newSigstore(t), newSigstore(t)
	tests := map[string]wrong{
		"none": {
			certificate: sigstore.CertificateOptions{NotBefore: long},
			edit:        func(_ *testing.T, signed *sigstore.Signed) { signed.Timestamps = nil },
			cosign:      "expected a signed timestamp to verify an expired certificate", bundle: noTimestamp,
		},
		"another authority": {
			request: sigstore.Request{Timestamp: true, TimestampBy: other},
			cosign:  noRefusal, bundle: noTimestamp,
		},
		"another authority trusted": {
			roots:  func(r *sigstore.Roots) { r.TSA = other },
			cosign: noRefusal, bundle: noTimestamp,
		},
		"no authority trusted": {
			roots:  func(r *sigstore.Roots) { r.TSA = nil },
			cosign: noRefusal, bundle: noTimestamp,
		},
		"after the end of the authority": {
			roots:  func(r *sigstore.Roots) { r.Valid.TSA.End = long },
			cosign: noRefusal, bundle: "timestamp is after the validity period end",
		},
		"of another signature": {
			edit: func(t *testing.T, signed *sigstore.Signed) {
				signed.Timestamps = sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{
					Format: signed.Format, Timestamp: true,
				}).Timestamps
			},
			cosign: noRefusal, bundle: "hashed messages don't match",
		},
		"after the certificate": {
			certificate: sigstore.CertificateOptions{NotBefore: long},
			cosign:      "checking expiry on certificate with timestamp", bundle: badChain,
		},
		"before the certificate": {
			request: sigstore.Request{Timestamp: true, TimestampTime: long},
			cosign:  "checking expiry on certificate with timestamp", bundle: badChain,
		},
	}
	for name, test := range tests {
		test.policy = timestamped
		if !test.request.Timestamp {
			test.request = withTimestamp
		}
		tests[name] = test
	}
	run(t, s, tests)
}

func TestWrongSignatures(t *testing.T) {
	s := newSigstore(t)
	otherDigest := "sha256:" + strings.Repeat("a", 64)
	run(t, s, map[string]wrong{
		"broken": {
			request: inRekor1, policy: logged,
			edit: func(t *testing.T, signed *sigstore.Signed) {
				flip(signed.Signature)
				relog(t, s, signed, func(*sigstore.Signed) {})
			},
			cosign: "invalid signature", bundle: "could not verify envelope",
		},
		"of an impostor": {
			request: inRekor1, policy: logged,
			edit: func(t *testing.T, signed *sigstore.Signed) {
				impostor, victim := issue(t, s, sigstore.CertificateOptions{}), signed.Certificate
				impostor.Certificate = victim
				*signed = *sign(t, s, impostor, sigstore.Request{Format: signed.Format, Log: sigstore.Rekor1})
			},
			cosign: "invalid signature", bundle: "could not verify envelope",
		},
		"of another artifact": {
			request: sigstore.Request{Digest: otherDigest, Log: sigstore.Rekor1}, policy: logged,
			cosign: "invalid or missing digest in claim", bundle: "provided artifact digest does not match any digest in statement",
		},
		"message signature of another artifact": {
			request: sigstore.Request{Digest: otherDigest, Log: sigstore.Rekor1}, policy: logged,
			edit: func(t *testing.T, signed *sigstore.Signed) {
				*signed = *sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{
					Digest: otherDigest, Format: signed.Format, MessageSignature: true, Log: sigstore.Rekor1,
				})
			},
			bundle: "failed to verify signature",
		},
		"payload of the caller's": {
			request: sigstore.Request{Payload: []byte(`{"critical":{}}`), Log: sigstore.Rekor1}, policy: logged,
			cosign: "invalid or missing digest in claim", bundle: "failed to verify signature",
		},
		"chain in a bundle of version 0.3": {
			request: inRekor1, policy: logged,
			edit:   func(_ *testing.T, signed *sigstore.Signed) { signed.BundleChain = true },
			bundle: "verification material cannot be X.509 certificate chain",
		},
		"version of the future": {
			request: inRekor1, policy: logged,
			edit:   func(_ *testing.T, signed *sigstore.Signed) { signed.BundleVersion = "0.4" },
			bundle: "bundle version v0.4 is not yet supported",
		},
	})
}

func flip(raw []byte) { raw[len(raw)-1] ^= 1 }

// recovered calls verify, and makes an error of its panic. That is how
// cosign v2.6.5 refuses when no timestamp verifies: VerifyRFC3161Timestamp
// looks at the first one.
func recovered(verify func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	return verify()
}
