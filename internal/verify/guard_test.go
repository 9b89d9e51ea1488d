package verify

import (
	"crypto"
	"errors"
	"io"
	"strings"
	"testing"

	intoto "github.com/in-toto/attestation/go/v1"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// panicking is a verifier with a bug that a signature can reach.
type panicking struct{}

func (panicking) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	panic("in a library")
}

func (panicking) VerifySignature(io.Reader, io.Reader, ...signature.VerifyOption) error {
	panic("in a library")
}

// believing is a verifier that accepts everything.
type believing struct{}

func (believing) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) { return nil, nil }

func (believing) VerifySignature(io.Reader, io.Reader, ...signature.VerifyOption) error { return nil }

// disbelieving is a verifier that accepts nothing.
type disbelieving struct{}

func (disbelieving) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return nil, nil
}

func (disbelieving) VerifySignature(io.Reader, io.Reader, ...signature.VerifyOption) error {
	return errors.New("no")
}

var digest = "sha256:" + strings.Repeat("0a", 32)

// forged are signatures over digest, in both formats, for verifiers that do
// not look at them.
func forged(format Format) Signature {
	if format == FormatCosign {
		return Signature{
			Format:      FormatCosign,
			Payload:     []byte(`{"critical":{"image":{"docker-manifest-digest":"` + digest + `"},"type":"cosign container image signature"}}`),
			Annotations: []byte(`{"dev.cosignproject.cosign/signature":"AAAA"}`),
		}
	}
	const statement = "eyJwcmVkaWNhdGVUeXBlIjoiaHR0cHM6Ly9zaWdzdG9yZS5kZXYvY29zaWduL3NpZ24vdjEiLCJzdWJqZWN0IjpbeyJkaWdlc3QiOnsic2hhMjU2IjoiMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYSJ9fV19"
	return Signature{Format: FormatBundle, Payload: []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",` +
		`"verificationMaterial":{"publicKey":{}},"dsseEnvelope":{"payload":"` + statement + `",` +
		`"payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}`)}
}

func keyed(verifiers ...signature.Verifier) Policy {
	a := Authority{Name: "a", TransparencyLog: LogIgnore}
	for i, v := range verifiers {
		a.Keys = append(a.Keys, Key{fingerprint: string(rune('a' + i)), verifiers: []signature.Verifier{v}})
	}
	return Policy{Threshold: 1, Authorities: []Authority{a}}
}

// A panic over one signature and one key is a no for that signature, unless
// another key accepts it, and is counted.
func TestPanics(t *testing.T) {
	for _, format := range []Format{FormatCosign, FormatBundle} {
		t.Run(string(format), func(t *testing.T) {
			for name, policy := range map[string]Policy{
				"one key": keyed(panicking{}), "beside a key that did not sign": keyed(panicking{}, disbelieving{}), "after it": keyed(disbelieving{}, panicking{}),
			} {
				v, err := Verify(policy, digest, []Signature{forged(format)})
				var refusal *Refusal
				if !errors.As(err, &refusal) || refusal.Reason != ReasonSignatureInvalid || refusal.Panics != 1 || !v.IsZero() {
					t.Fatalf("%s: expected %s, found %+v", name, ReasonSignatureInvalid, err)
				}
				if !strings.HasSuffix(refusal.Message, "found 1 signature that cannot be judged: a library failed at it") {
					t.Error(refusal.Message)
				}
			}
			v, err := Verify(keyed(panicking{}, believing{}, panicking{}), digest, []Signature{{}, forged(format), {}})
			if err != nil || v.Signers()[0].KeyFingerprint != "b" || v.Panics() != 1 {
				t.Errorf("a panic stands in the way of another key: %+v, %v", v, err)
			}
			// The same bytes are judged once, and panic once.
			var refusal *Refusal
			if _, err = Verify(keyed(panicking{}, panicking{}), digest, []Signature{forged(format), forged(format)}); !errors.As(err, &refusal) || refusal.Panics != 2 {
				t.Errorf("expected 2 panics, found %+v", err)
			}
		})
	}
}

// Panics do not change what is judged: the policies have one hash, and what is
// refused for a better reason keeps it.
func TestPanicsBesideOthers(t *testing.T) {
	var refusal *Refusal
	over := forged(FormatCosign)
	over.Payload = []byte(strings.Replace(string(over.Payload), "0a", "0b", 1))
	policy := keyed(panicking{})
	policy.Authorities = append(policy.Authorities, keyed(believing{}).Authorities[0])
	policy.Authorities[1].Name, policy.Threshold = "b", 2
	for _, all := range [][]Signature{{over, {}}, {{}, over}} {
		if _, err := Verify(policy, digest, all); !errors.As(err, &refusal) || refusal.Reason != ReasonSignatureInvalid || refusal.Panics != 1 {
			t.Errorf("found %+v", err)
		}
	}
	if _, err := Verify(policy, digest, []Signature{forged(FormatBundle)}); !errors.As(err, &refusal) || refusal.Reason != ReasonThresholdNotMet || refusal.Panics != 1 {
		t.Errorf("found %+v", err)
	}
	if v, err := Verify(keyed(believing{}), digest, []Signature{forged(FormatBundle)}); err != nil || v.Panics() != 0 {
		t.Errorf("found %+v, %v", v, err)
	}
}

func TestGuarded(t *testing.T) {
	faults := 0
	for range 2 {
		if got := guarded(&faults, func() finding { panic(errors.New("any value")) }); got != (finding{standing: faulted}) {
			t.Errorf("expected a fault, found %+v", got)
		}
	}
	if got := guarded(&faults, func() finding { return finding{standing: unlogged} }); got.standing != unlogged || faults != 2 {
		t.Errorf("expected what the function found, and 2 faults, found %+v and %d", got, faults)
	}
}

// Even a key that accepts everything says yes to signatures over the digest
// alone, and to no attestation.
func TestBindingDoesNotDependOnTheKey(t *testing.T) {
	for _, format := range []Format{FormatCosign, FormatBundle} {
		t.Run(string(format), func(t *testing.T) {
			if _, err := Verify(keyed(believing{}), digest, []Signature{forged(format)}); err != nil {
				t.Fatalf("the test itself is wrong: %v", err)
			}
			other := "sha256:" + strings.Repeat("0b", 32)
			var refusal *Refusal
			if _, err := Verify(keyed(believing{}), other, []Signature{forged(format)}); !errors.As(err, &refusal) || refusal.Reason != ReasonSignatureInvalid {
				t.Errorf("another digest: %v", err)
			}
		})
	}
}

// The predicate type is looked at twice: in what was read, to say what it is,
// and in what was verified, which decides.
func TestPredicateTypeOfWhatWasVerified(t *testing.T) {
	tests := map[string]struct {
		result sigstore.VerificationResult
		want   bool
	}{
		"Signature":   {sigstore.VerificationResult{Statement: &intoto.Statement{PredicateType: SignPredicateType}}, true},
		"Attestation": {sigstore.VerificationResult{Statement: &intoto.Statement{PredicateType: "https://slsa.dev/provenance/v1"}}, false},
		"NoType":      {sigstore.VerificationResult{Statement: &intoto.Statement{}}, false},
		"Message":     {sigstore.VerificationResult{}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := isSignature(&tt.result); got != tt.want {
				t.Errorf("expected %t, found %t", tt.want, got)
			}
		})
	}
}
