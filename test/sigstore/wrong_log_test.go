package sigstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"time"

	"github.com/assay-dev/assay/test/sigstore"
)

func TestWrongRekor1Entries(t *testing.T) {
	s, other := newSigstore(t), newSigstore(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]wrong{
		"no entry": {
			edit:   func(_ *testing.T, signed *sigstore.Signed) { signed.Entries = nil },
			cosign: "offline verification failed", bundle: noEntry,
		},
		"another log": {
			request: sigstore.Request{Log: sigstore.Rekor1, LogBy: other},
			cosign:  unknownLog, bundle: noEntry,
		},
		"another log trusted": {
			roots:  func(r *sigstore.Roots) { r.Rekor1 = other },
			cosign: unknownLog, bundle: noEntry,
		},
		"no log trusted": {
			roots:  func(r *sigstore.Roots) { r.Rekor1, r.Rekor2 = nil, nil },
			cosign: unknownLog, bundle: noEntry,
		},
		"after the end of the log's key": {
			roots:  func(r *sigstore.Roots) { r.Valid.Rekor1.End = long },
			cosign: "rekor log public key not valid at payload integrated time", bundle: noEntry,
		},
		"entry of another signature": {
			edit: func(t *testing.T, signed *sigstore.Signed) {
				signed.Entries = sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{
					Format: signed.Format, Log: sigstore.Rekor1,
				}).Entries
			},
			cosign: "signature in bundle does not match signature being verified", bundle: "transparency log signature does not match",
		},
		"entry with another certificate for the key": {
			certificate: sigstore.CertificateOptions{Key: key},
			edit: func(t *testing.T, signed *sigstore.Signed) {
				relog(t, s, signed, func(logged *sigstore.Signed) {
					logged.Certificate = issue(t, s, sigstore.CertificateOptions{Key: key}).Certificate
				})
			},
			cosign: "comparing public key PEMs", bundle: "transparency log certificate does not match",
		},
		"entry with another payload": {
			edit: func(t *testing.T, signed *sigstore.Signed) {
				relog(t, s, signed, func(logged *sigstore.Signed) { logged.Payload = []byte("{}") })
			},
			cosign: "invalid signature", bundle: "does not match envelope payload hash",
		},
		"broken promise": {
			edit: func(_ *testing.T, signed *sigstore.Signed) {
				flip(signed.Entries[0].InclusionPromise.SignedEntryTimestamp)
			},
			cosign: badSET, bundle: noEntry,
		},
		"another time than promised": {
			edit:   func(_ *testing.T, signed *sigstore.Signed) { signed.Entries[0].IntegratedTime-- },
			cosign: badSET, bundle: noEntry,
		},
		"another index than promised": {
			edit:   func(_ *testing.T, signed *sigstore.Signed) { signed.Entries[0].LogIndex++ },
			cosign: badSET, bundle: noEntry,
		},
		"promise of another log": {
			edit: func(t *testing.T, signed *sigstore.Signed) {
				promise, err := other.Promise(signed.Entries[0])
				if err != nil {
					t.Fatal(err)
				}
				signed.Entries[0].InclusionPromise.SignedEntryTimestamp = promise
			},
			cosign: badSET, bundle: noEntry,
		},
		"proof without promise": {
			request: sigstore.Request{Log: sigstore.Rekor1, ProofOnly: true},
			cosign:  badSET, bundle: "threshold not met for verified signed & log entry integrated timestamps",
		},
		"promise without proof": {
			request: sigstore.Request{Log: sigstore.Rekor1, PromiseOnly: true},
			bundle:  "inclusion proof missing in bundle",
		},
		"broken proof": {
			edit:   func(_ *testing.T, signed *sigstore.Signed) { flip(signed.Entries[0].InclusionProof.Hashes[0]) },
			bundle: "does not match expected root",
		},
		"checkpoint of another log": {
			edit: func(t *testing.T, signed *sigstore.Signed) {
				foreign := sign(t, other, issue(t, other, sigstore.CertificateOptions{}), sigstore.Request{
					Format: signed.Format, Log: sigstore.Rekor1,
				})
				signed.Entries[0].InclusionProof.Checkpoint = foreign.Entries[0].InclusionProof.Checkpoint
			},
			bundle: "signature on checkpoint did not verify",
		},
		"earlier checkpoint": {
			edit: func(t *testing.T, signed *sigstore.Signed) {
				later, err := s.Log1(signed, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				later.InclusionProof.Checkpoint = signed.Entries[0].InclusionProof.Checkpoint
				signed.Entries[0] = later
			},
			bundle: "proof root hash does not match signed tree head",
		},
	}
	// So that no proof is empty.
	sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor1})
	for name, test := range tests {
		test.policy = logged
		if test.request.Log == sigstore.NoLog {
			test.request = inRekor1
		}
		tests[name] = test
	}
	run(t, s, tests)
}

func TestWrongRekor2Entries(t *testing.T) {
	s, other := newSigstore(t), newSigstore(t)
	tests := map[string]wrong{
		"no entry": {
			edit:   func(_ *testing.T, signed *sigstore.Signed) { signed.Entries = nil },
			bundle: noEntry,
		},
		"another log": {
			request: sigstore.Request{Log: sigstore.Rekor2, LogBy: other, Timestamp: true},
			bundle:  noEntry,
		},
		"another log trusted": {
			roots:  func(r *sigstore.Roots) { r.Rekor2 = other },
			bundle: noEntry,
		},
		"entry of another signature": {
			edit: func(t *testing.T, signed *sigstore.Signed) {
				signed.Entries = sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{
					Format: signed.Format, Log: sigstore.Rekor2,
				}).Entries
			},
			bundle: "verifying inclusion",
		},
		"broken proof": {
			edit:   func(_ *testing.T, signed *sigstore.Signed) { flip(signed.Entries[0].InclusionProof.Hashes[0]) },
			bundle: "verifying inclusion",
		},
		"checkpoint of another log": {
			edit: func(t *testing.T, signed *sigstore.Signed) {
				foreign := sign(t, other, issue(t, other, sigstore.CertificateOptions{}), sigstore.Request{
					Format: signed.Format, Log: sigstore.Rekor2,
				})
				signed.Entries[0].InclusionProof.Checkpoint = foreign.Entries[0].InclusionProof.Checkpoint
			},
			bundle: "unverified checkpoint signature",
		},
		"no timestamp": {
			request: sigstore.Request{Log: sigstore.Rekor2},
			bundle:  noTimestamp,
		},
	}
	sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor2})
	for name, test := range tests {
		test.policy = twice
		if test.request.Log == sigstore.NoLog {
			test.request = inRekor2
		}
		tests[name] = test
	}
	run(t, s, tests)
}

// relog replaces the entry by one of the signature as edit changes it.
func relog(t *testing.T, s *sigstore.Sigstore, signed *sigstore.Signed, edit func(*sigstore.Signed)) {
	t.Helper()
	logged := signed.Clone()
	edit(logged)
	entry, err := s.Log1(logged, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	signed.Entries[0] = entry
}
