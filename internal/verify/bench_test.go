package verify_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

// BenchmarkVerify judges one signature by the one key that made it.
func BenchmarkVerify(b *testing.B) {
	for format, sign := range formats {
		for _, kind := range signing.Kinds() {
			for _, scheme := range schemes(kind) {
				b.Run(fmt.Sprintf("%s/%s/%s", format, kind, scheme), func(b *testing.B) {
					key := using(b, keyOf(b, kind, "signer"), scheme)
					policy, signatures := trusting(b, key), []verify.Signature{sign(b, artifact, key)}
					for b.Loop() {
						if _, err := verify.Verify(policy, artifact, signatures); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// BenchmarkWorstCase judges as many signatures as there may be, each another
// and none by a trusted key, by as many keys as there may be.
func BenchmarkWorstCase(b *testing.B) {
	for format, sign := range formats {
		for _, kind := range []signing.Kind{signing.ECDSAP256, signing.ECDSAP384, signing.ECDSAP521, signing.Ed25519} {
			b.Run(fmt.Sprintf("%s/%s", format, kind), func(b *testing.B) {
				var keys []*signing.Key
				for i := range verify.MaxKeys {
					keys = append(keys, keyOf(b, kind, fmt.Sprint(i)))
				}
				policy := trusting(b, keys...)
				var signatures []verify.Signature
				for i := range verify.MaxSignatures {
					signatures = append(signatures, sign(b, digestOf(fmt.Sprint(i)), keyOf(b, kind, "stranger")))
				}
				for b.Loop() {
					var refusal *verify.Refusal
					if _, err := verify.Verify(policy, artifact, signatures); !errors.As(err, &refusal) {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkKeyless judges one signature by a certificate, with its log entry,
// timestamp and SCT, and one that a thirty-second identity allows.
func BenchmarkKeyless(b *testing.B) {
	for _, format := range bothFormats {
		for name, change := range map[string]func(*attempt){
			"Rekor v1":            func(*attempt) {},
			"Rekor v1, timestamp": func(a *attempt) { a.request.Timestamp = true },
			"Rekor v2, timestamp": func(a *attempt) { a.request.Log, a.request.Timestamp = sigstore.Rekor2, true },
		} {
			if format == sigstore.FormatCosign && name == "Rekor v2, timestamp" {
				continue
			}
			b.Run(string(format)+"/"+name, func(b *testing.B) {
				a := rightAttempt(b, format)
				change(a)
				policy, signatures := a.policy(b), []verify.Signature{signatureOf(b, a.sign(b))}
				for b.Loop() {
					if _, err := verify.Verify(policy, artifact, signatures); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkWorstCaseKeyless judges as many signatures as there may be, each
// right but for its identity, with as many timestamps as it may carry, by as
// many authorities as there may be, each with a trusted root of its own.
func BenchmarkWorstCaseKeyless(b *testing.B) {
	policy := verify.Policy{Threshold: 1}
	for i := range verify.MaxAuthorities {
		roots := ours(b).Roots()
		roots.Valid.Rekor1.Start = hours(-1000 - i) // Another root by its hash.
		a := keyless(b, trustedRoot(b, roots), verify.LogRequire, verify.IdentitySpec{Issuer: "https://issuer.example", Subject: "nobody"}).Authorities[0]
		a.Name = fmt.Sprint(i)
		policy.Authorities = append(policy.Authorities, a)
	}
	a := rightAttempt(b, sigstore.FormatBundle)
	a.request.Timestamp = true
	signed := a.sign(b)
	for len(signed.Timestamps) < 8 {
		signed.Timestamps = append(signed.Timestamps, signed.Timestamps[0])
	}
	var signatures []verify.Signature
	for i := range verify.MaxSignatures {
		other := signatureOf(b, signed)
		other.Payload = append(other.Payload, strings.Repeat(" ", i)...) // The same bytes would be judged once.
		signatures = append(signatures, other)
	}
	for b.Loop() {
		var refusal *verify.Refusal
		if _, err := verify.Verify(policy, artifact, signatures); !errors.As(err, &refusal) {
			b.Fatal(err)
		}
	}
}
