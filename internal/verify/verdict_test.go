package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/signing"
	"github.com/google/go-cmp/cmp"
)

// each runs a test for both formats, every kind of key and every scheme in
// which it signs.
func each(t *testing.T, test func(t *testing.T, format verify.Format, kind signing.Kind, key *signing.Key)) {
	t.Helper()
	for format := range formats {
		for _, kind := range signing.Kinds() {
			for _, scheme := range schemes(kind) {
				t.Run(fmt.Sprintf("%s/%s/%s", format, kind, scheme), func(t *testing.T) {
					test(t, format, kind, using(t, keyOf(t, kind, "signer"), scheme))
				})
			}
		}
	}
}

func TestVerifiedByTheKey(t *testing.T) {
	each(t, func(t *testing.T, format verify.Format, _ signing.Kind, key *signing.Key) {
		v := wantVerified(t, trusting(t, key), artifact, formats[format](t, artifact, key))
		want := []verify.Signer{{Authority: "release", Format: format, KeyFingerprint: fingerprint(t, key)}}
		if diff := cmp.Diff(want, v.Signers()); diff != "" {
			t.Errorf("evidence (-want +got):\n%s", diff)
		}
	})
}

func TestVerifiedByOneOfManyKeys(t *testing.T) {
	each(t, func(t *testing.T, format verify.Format, kind signing.Kind, key *signing.Key) {
		policy := trusting(t, keyOf(t, kind, "other"), keyOf(t, signing.Ed25519, "other"), key, p256(t, "other"))
		v := wantVerified(t, policy, artifact, formats[format](t, artifact, key))
		if got := v.Signers()[0].KeyFingerprint; got != fingerprint(t, key) {
			t.Errorf("the evidence names the key %s", got)
		}
	})
}

func TestRefusedUnderAnotherKey(t *testing.T) {
	each(t, func(t *testing.T, format verify.Format, kind signing.Kind, key *signing.Key) {
		signature := formats[format](t, artifact, key)
		refusal := wantRefusal(t, verify.ReasonKeyMismatch, trusting(t, keyOf(t, kind, "other")), artifact, signature)
		for _, part := range []string{artifact, fingerprint(t, keyOf(t, kind, "other")), "1 signature that no trusted key verifies"} {
			if !strings.Contains(refusal.Message, part) {
				t.Errorf("the message does not say %q: %s", part, refusal.Message)
			}
		}
		for _, other := range signing.Kinds() {
			if other != kind {
				wantRefusal(t, verify.ReasonKeyMismatch, trusting(t, keyOf(t, other, "other")), artifact, signature)
			}
		}
	})
}

func TestRefusedOverAnotherDigest(t *testing.T) {
	each(t, func(t *testing.T, format verify.Format, _ signing.Kind, key *signing.Key) {
		signature := formats[format](t, another, key)
		wantVerified(t, trusting(t, key), another, signature)
		refusal := wantRefusal(t, verify.ReasonSignatureInvalid, trusting(t, key), artifact, signature)
		for _, part := range []string{artifact, "1 signature by a trusted key over something else"} {
			if !strings.Contains(refusal.Message, part) {
				t.Errorf("the message does not say %q: %s", part, refusal.Message)
			}
		}
		if strings.Contains(refusal.Message, another) {
			t.Errorf("the message repeats what the signature is over: %s", refusal.Message)
		}
	})
}

// A digest that differs from the signed one in a single place is another.
func TestEveryDigitOfTheDigestCounts(t *testing.T) {
	key := p256(t, "signer")
	for format, sign := range formats {
		t.Run(string(format), func(t *testing.T) {
			signature := sign(t, artifact, key)
			for i := len("sha256:"); i < len(artifact); i++ {
				digit := "0"
				if artifact[i] == '0' {
					digit = "f"
				}
				near := artifact[:i] + digit + artifact[i+1:]
				wantRefusal(t, verify.ReasonSignatureInvalid, trusting(t, key), near, signature)
			}
		})
	}
}

func TestDigestsThatAreNone(t *testing.T) {
	key := p256(t, "signer")
	hex := strings.TrimPrefix(artifact, "sha256:")
	tests := map[string]struct{ reason, digest string }{
		"Empty":       {"nothing", ""},
		"NoAlgorithm": {"not in the form of a digest", hex},
		"NoHex":       {"nothing", "sha256:"},
		"Short":       {"a prefix of the digest", artifact[:len(artifact)-1]},
		"Long":        {"a digit more", artifact + "0"},
		"UpperCase":   {"one digest has one spelling", "sha256:" + strings.ToUpper(hex)},
		"SHA512":      {"another algorithm", "sha512:" + hex + hex},
		"SHA384":      {"another algorithm", "sha384:" + hex + hex[:32]},
		"Algorithm":   {"an algorithm of another case", "SHA256:" + hex},
		"Space":       {"whitespace around it", " " + artifact},
		"Newline":     {"whitespace around it", artifact + "\n"},
		"Reference":   {"a reference", "registry.example/app@" + artifact},
		"TooLong":     {"a long text", strings.Repeat("sha256:", 100_000)},
	}
	signatures := []verify.Signature{cosignSigned(t, artifact, key), bundleSigned(t, artifact, key)}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			refusal := wantRefusal(t, verify.ReasonSignatureInvalid, trusting(t, key), tt.digest, signatures...)
			if len(refusal.Message) > 1000 {
				t.Errorf("%s: a message of %d bytes", tt.reason, len(refusal.Message))
			}
		})
	}
}

// Not even a right signature over it makes another algorithm's digest one that
// can be fetched and checked.
func TestDigestsOfOtherAlgorithms(t *testing.T) {
	key := p256(t, "signer")
	digits := strings.TrimPrefix(artifact, "sha256:")
	for _, digest := range []string{"sha512:" + digits + digits, "sha384:" + digits + digits[:32]} {
		wantRefusal(t, verify.ReasonSignatureInvalid, trusting(t, key), digest,
			cosignOver(t, key, marshal(t, cosignPayload(digest, cosignType))),
			bundleOver(t, key, statement(signPredicate, subject(digest))))
	}
}

// A signature that is right does not become wrong by its neighbours.
func TestGoodAmongBad(t *testing.T) {
	key, stranger := p256(t, "signer"), p256(t, "stranger")
	bad := []verify.Signature{
		{}, {Format: "other"}, {Format: verify.FormatCosign}, {Format: verify.FormatBundle},
		cosignSigned(t, artifact, stranger), bundleSigned(t, artifact, stranger),
		cosignSigned(t, another, key), bundleSigned(t, another, key), attestation(t, key, slsaPredicate),
	}
	for format, sign := range formats {
		for at := range len(bad) + 1 {
			t.Run(fmt.Sprintf("%s/%d", format, at), func(t *testing.T) {
				var all []verify.Signature
				all = append(append(append(all, bad[:at]...), sign(t, artifact, key)), bad[at:]...)
				v := wantVerified(t, trusting(t, key), artifact, all...)
				if diff := cmp.Diff([]verify.Signer{{Authority: "release", Format: format, KeyFingerprint: fingerprint(t, key)}}, v.Signers()); diff != "" {
					t.Errorf("evidence (-want +got):\n%s", diff)
				}
			})
		}
	}
}
