package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
)

// rung is one kind of signature, by how far it gets.
type rung struct {
	name   string
	make   func(t testing.TB) verify.Signature
	reason verify.Reason
	says   string // in the message, for one such signature
}

// ladder lists the kinds of signature from nothing to the goal, under a policy
// of two authorities, first and second, that must both be satisfied.
func ladder() []rung {
	return []rung{
		{"Attestation", func(t testing.TB) verify.Signature { return attestation(t, p256(t, "first"), slsaPredicate) },
			verify.ReasonNoSignature, "1 attestation found, which is not a signature"},
		{"Malformed", func(testing.TB) verify.Signature { return verify.Signature{Format: verify.FormatBundle} },
			verify.ReasonSignatureInvalid, "1 signature that cannot be read"},
		{"ByAnother", func(t testing.TB) verify.Signature { return cosignSigned(t, artifact, p256(t, "stranger")) },
			verify.ReasonKeyMismatch, "1 signature that no trusted key verifies"},
		{"OverAnother", func(t testing.TB) verify.Signature { return bundleSigned(t, another, p256(t, "first")) },
			verify.ReasonSignatureInvalid, "1 signature by a trusted key over something else"},
		{"Accepted", func(t testing.TB) verify.Signature { return cosignSigned(t, artifact, p256(t, "first")) },
			verify.ReasonThresholdNotMet, "expected distinct signers for 2 authorities of 2, found 1"},
	}
}

func twoAuthorities(t testing.TB) verify.Policy {
	t.Helper()
	return threshold(2, authority(t, "first", p256(t, "first")), authority(t, "second", p256(t, "second")))
}

// Every set of signatures gets the reason of the one that got furthest.
func TestReasonIsThatOfTheFurthest(t *testing.T) {
	rungs := ladder()
	for set := range 1 << len(rungs) {
		want, says := verify.ReasonNoSignature, "found none"
		var names []string
		var signatures []verify.Signature
		for i, r := range rungs {
			if set&(1<<i) != 0 {
				names, signatures = append(names, r.name), append(signatures, r.make(t))
				want, says = r.reason, r.says
			}
		}
		t.Run("Of "+strings.Join(names, " "), func(t *testing.T) {
			refusal := wantRefusal(t, want, twoAuthorities(t), artifact, signatures...)
			if !strings.HasPrefix(refusal.Message, artifact+": expected ") || !strings.Contains(refusal.Message, says) {
				t.Errorf("expected a message about %s that says %q, found %s", artifact, says, refusal.Message)
			}
			if refusal.Error() != refusal.Message {
				t.Errorf("the error is %q, the message %q", refusal.Error(), refusal.Message)
			}
			if want == verify.ReasonThresholdNotMet || says == rungs[3].says {
				return
			}
			for _, key := range []string{"first", "second"} {
				if name := fmt.Sprintf("%s (key %s)", key, fingerprint(t, p256(t, key))); !strings.Contains(refusal.Message, name) {
					t.Errorf("the message does not name what was expected, %s: %s", name, refusal.Message)
				}
			}
		})
	}
}

func TestMessagesCount(t *testing.T) {
	for i, r := range ladder()[:4] {
		t.Run(r.name, func(t *testing.T) {
			says := strings.NewReplacer("1 signature that", "3 signatures that", "1 signature by", "3 signatures by",
				"1 attestation found", "3 attestations found").Replace(r.says)
			all := []verify.Signature{r.make(t), r.make(t), r.make(t)}
			for _, below := range ladder()[:i] {
				all = append(all, below.make(t))
			}
			refusal := wantRefusal(t, r.reason, twoAuthorities(t), artifact, all...)
			if !strings.Contains(refusal.Message, says) {
				t.Errorf("expected %q in %s", says, refusal.Message)
			}
		})
	}
}

func TestThresholdMessageNamesWhoIsMissing(t *testing.T) {
	first, second := p256(t, "first"), p256(t, "second")
	refusal := wantRefusal(t, verify.ReasonThresholdNotMet, twoAuthorities(t), artifact, cosignSigned(t, artifact, second))
	want := artifact + ": expected distinct signers for 2 authorities of 2, found 1: first by none, second by key " + fingerprint(t, second)
	if refusal.Message != want {
		t.Errorf("expected %q, found %q", want, refusal.Message)
	}
	if strings.Contains(refusal.Message, fingerprint(t, first)) {
		t.Errorf("names a key that did not sign: %s", refusal.Message)
	}
}

// unreadable are signatures that cannot be read, each for another reason.
func unreadable(t testing.TB) []verify.Signature {
	t.Helper()
	raw := marshal(t, statement(signPredicate, subject(artifact)))
	return []verify.Signature{
		{},
		{Format: verify.FormatCosign},
		{Format: verify.FormatBundle},
		cosignOf(t, nil, object{}),
		cosignOf(t, nil, object{signatureAnnotation: 1}),
		cosignOf(t, nil, object{signatureAnnotation: "?"}),
		bundleOf(t, bundleDocument(object{"dsseEnvelope": envelope(inTotoType, []byte("no JSON"), []byte("s"))})),
		bundleOf(t, bundleDocument(object{"dsseEnvelope": envelope(inTotoType, raw)})),
	}
}

// A registry may list signatures in another order each time. The verdict, the
// message and the evidence must not follow it, or status would change for ever.
func TestOrderDoesNotMatter(t *testing.T) {
	first, second := p256(t, "first"), p256(t, "second")
	var ofAll []verify.Signature
	for _, r := range ladder() {
		ofAll = append(ofAll, r.make(t))
	}
	both := []verify.Signature{
		cosignSigned(t, artifact, first), bundleSigned(t, artifact, first),
		bundleSigned(t, artifact, second), cosignSigned(t, artifact, second),
	}
	oneOfThree := threshold(1, authority(t, "a", second, first), authority(t, "b", first), authority(t, "c", second))
	tests := map[string]struct {
		policy     verify.Policy
		signatures []verify.Signature
	}{
		"Refused":    {twoAuthorities(t), ofAll},
		"Unreadable": {twoAuthorities(t), unreadable(t)},
		"Verified":   {twoAuthorities(t), append(both, ofAll...)},
		"SomeOf":     {oneOfThree, append(both, unreadable(t)...)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			want := outcome(verify.Verify(tt.policy, artifact, tt.signatures))
			for range 50 {
				if got := outcome(verify.Verify(tt.policy, artifact, tt.signatures)); got != want {
					t.Fatalf("another outcome for the same input:\n%s\n%s", want, got)
				}
				tt.signatures = slices.Clone(tt.signatures)
				random.Shuffle(len(tt.signatures), func(i, j int) {
					tt.signatures[i], tt.signatures[j] = tt.signatures[j], tt.signatures[i]
				})
			}
		})
	}
}

// outcome is all that a caller can see.
func outcome(v verify.Verified, err error) string {
	var refusal *verify.Refusal
	if errors.As(err, &refusal) {
		return string(refusal.Reason) + " " + refusal.Message
	}
	signers, marshalling := json.Marshal(v.Signers())
	return fmt.Sprint(v.Digest(), v.PolicyHash(), string(signers), marshalling, err)
}

// Policies of one hash accept with the same evidence, so the order of keys
// does not matter for it either.
func TestOrderOfKeysDoesNotMatter(t *testing.T) {
	keys := trusted(t, p256(t, "first"), p256(t, "second"), p256(t, "third"))
	var signatures []verify.Signature
	for _, name := range []string{"third", "second", "first"} {
		signatures = append(signatures, cosignSigned(t, artifact, p256(t, name)))
	}
	of := func(a, b []verify.Key) verify.Policy {
		return threshold(2, verify.Authority{Name: "a", Keys: a, TransparencyLog: verify.LogIgnore},
			verify.Authority{Name: "b", Keys: b, TransparencyLog: verify.LogIgnore})
	}
	want := wantVerified(t, of(keys, keys), artifact, signatures...)
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		a, b := slices.Clone(keys), slices.Clone(keys)
		random.Shuffle(3, func(i, j int) { a[i], a[j] = a[j], a[i] })
		random.Shuffle(3, func(i, j int) { b[i], b[j] = b[j], b[i] })
		got := wantVerified(t, of(append(a, a[0]), b), artifact, signatures...)
		if want, got := outcome(want, nil), outcome(got, nil); want != got {
			t.Fatalf("the same hash and other evidence:\n%s\n%s", want, got)
		}
	}
}
