package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// A panic over what stands around a signature is a no for it, whatever others
// find, unless it satisfies another authority; in both formats, by keys and by
// identities.
func TestPanicsOverMaterial(t *testing.T) {
	w := timed{log: 0, stamp: 0}
	for by, sign := range map[string]func(testing.TB, sigstore.Format) (verify.Authority, verify.Signature){"key": w.byKey, "identity": w.byIdentity} {
		for _, format := range bothFormats {
			t.Run(by+"/"+string(format), func(t *testing.T) {
				right, signature := sign(t, format)
				failing, stranger, late := right, right, within(right, 1, never)
				failing.Name, failing.Root = "failing", verify.FailingRoot(right.Root)
				stranger.Name, stranger.Root = "stranger", trustedRoot(t, theirs(t).Roots())
				late.Name = "late"
				for _, all := range [][]verify.Authority{
					{failing}, {failing, stranger}, {stranger, failing}, {late, failing}, {failing, late}, {failing, authority(t, "other", p256(t, "other"))},
				} {
					v, err := verify.Verify(threshold(1, all...), artifact, []verify.Signature{signature})
					var refusal *verify.Refusal
					if !errors.As(err, &refusal) || refusal.Reason != verify.ReasonSignatureInvalid || refusal.Panics != 1 || !v.IsZero() {
						t.Fatalf("%d authorities: found %+v, %v", len(all), v, err)
					}
					if !strings.Contains(refusal.Message, "found 1 signature that cannot be judged: a library failed at it") {
						t.Error(refusal.Message)
					}
				}
				for _, all := range [][]verify.Authority{{failing, right}, {right, failing}} {
					v, err := verify.Verify(threshold(1, all...), artifact, []verify.Signature{signature})
					if err != nil || v.Signers()[0].Authority != right.Name || v.Panics() != 1 {
						t.Errorf("found %+v, %v", v, err)
					}
					var refusal *verify.Refusal
					if _, err = verify.Verify(threshold(2, all...), artifact, []verify.Signature{signature}); !errors.As(err, &refusal) || refusal.Reason != verify.ReasonThresholdNotMet || refusal.Panics != 1 {
						t.Errorf("found %v", err)
					}
				}
				// What others got to is not hidden by it.
				beside := []verify.Signature{signature, cosignSigned(t, another, p256(t, "other"))}
				var refusal *verify.Refusal
				if _, err := verify.Verify(threshold(1, failing, authority(t, "other", p256(t, "other"))), artifact, beside); !errors.As(err, &refusal) || refusal.Reason != verify.ReasonSignatureInvalid || !strings.Contains(refusal.Message, "over something else") || refusal.Panics != 1 {
					t.Errorf("found %v", err)
				}
				// A verdict that is stopped after it says so as well.
				var stopped *verify.StoppedError
				a := &after{n: 3 + len(failing.Keys)}
				if _, err := verify.Until(a.stop, threshold(1, failing, right), artifact, beside); !errors.As(err, &stopped) || stopped.Panics != 1 {
					t.Errorf("found %+v", err)
				}
			})
		}
	}
}

// What makes Cosign's library panic does not get there: values of wrong types in
// annotations, entries that are none, timestamps that do not verify.
func TestKnownPanicsAreCaughtBefore(t *testing.T) {
	for by, sign := range map[string]func(testing.TB, sigstore.Format) (verify.Authority, verify.Signature){
		"key": timed{log: 0, stamp: 0}.byKey, "identity": timed{log: 0, stamp: 0}.byIdentity,
		"identity, log ignored": timed{log: 0, stamp: 0, mode: verify.LogIgnore}.byIdentity,
	} {
		a, right := sign(t, sigstore.FormatCosign)
		bare := authority(t, "bare", p256(t, "signer"))
		var annotations map[string]json.RawMessage
		if err := json.Unmarshal(right.Annotations, &annotations); err != nil {
			t.Fatal(err)
		}
		judged := 0
		for name := range annotations {
			for _, value := range []string{
				`1`, `-1e99`, `null`, `true`, `[]`, `["x"]`, `{}`, `{"Payload":1}`, `""`, `"x"`, `"AAAA"`, `"null"`, `"1"`, `"[]"`, `"{}"`,
				`"{\"Payload\":{}}"`, `"{\"Payload\":null}"`, `"{\"Payload\":{\"body\":1}}"`, `"{\"Payload\":{\"body\":{}}}"`, `"{\"Payload\":{\"body\":\"\"}}"`,
				`"{\"Payload\":{\"body\":\"bnVsbA==\",\"logID\":\"00\"}}"`, `"{\"Payload\":{\"body\":\"e30=\",\"integratedTime\":\"x\"}}"`,
				`"{\"SignedEntryTimestamp\":1}"`, `"{\"SignedRFC3161Timestamp\":\"AAAA\"}"`, `"{\"SignedRFC3161Timestamp\":\"MAUwAwIBAA==\"}"`, `"{\"SignedRFC3161Timestamp\":1}"`,
				`"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"`,
			} {
				s := right
				changed := map[string]json.RawMessage{}
				for k, v := range annotations {
					changed[k] = v
				}
				changed[name] = json.RawMessage(value)
				s.Annotations = marshal(t, changed)
				for _, policy := range []verify.Policy{threshold(1, a), threshold(1, bare), threshold(1, a, bare)} {
					judged++
					v, err := verify.Verify(policy, artifact, []verify.Signature{s})
					var refusal *verify.Refusal
					if v.Panics() != 0 || (errors.As(err, &refusal) && refusal.Panics != 0) {
						t.Errorf("%s: %s of %s panics: %v", by, name, value, err)
					}
					if name == signatureAnnotation && err == nil {
						t.Errorf("%s: verified with the signature %s", by, value)
					}
				}
			}
		}
		if judged < 200 {
			t.Error(fmt.Sprint("too few to say anything: ", judged))
		}
	}
}
