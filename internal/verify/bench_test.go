package verify_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/signing"
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
