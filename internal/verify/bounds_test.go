package verify_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/google/go-cmp/cmp"
)

// largest is the policy whose messages are longest: as many authorities as may
// be, with names as long as the API allows, and all the keys there may be.
func largest(t testing.TB) verify.Policy {
	t.Helper()
	first := trusted(t, p256(t, "first"))
	keys := append(first, manyKeys(t, verify.MaxKeys-1)...)
	p := verify.Policy{Threshold: verify.MaxAuthorities}
	perAuthority := verify.MaxKeys / verify.MaxAuthorities
	for i := range verify.MaxAuthorities {
		p.Authorities = append(p.Authorities, verify.Authority{
			Name:            fmt.Sprintf("%s%02d", strings.Repeat("n", 61), i),
			Keys:            keys[i*perAuthority : (i+1)*perAuthority],
			TransparencyLog: verify.LogIgnore,
		})
	}
	return p
}

func TestMessagesAreBounded(t *testing.T) {
	policy := largest(t)
	if err := policy.Validate(); err != nil {
		t.Fatal(err)
	}
	all := []verify.Signature{}
	for _, r := range ladder() {
		all = append(all, r.make(t))
		full := append(slices.Repeat([]verify.Signature{r.make(t)}, verify.MaxSignatures-len(all)), all...)
		t.Run(r.name, func(t *testing.T) {
			refusal := wantRefusal(t, r.reason, policy, artifact, full...)
			if n := len(refusal.Message); n >= 4<<10 {
				t.Errorf("a message of %d bytes", n)
			}
			for _, a := range policy.Authorities[:1] {
				if !strings.Contains(refusal.Message, a.Name) && r.name != "OverAnother" {
					t.Errorf("the message does not name %s: %s", a.Name, refusal.Message)
				}
			}
		})
	}
	// Keys that are not listed are counted.
	refusal := wantRefusal(t, verify.ReasonNoSignature, policy, artifact)
	if !strings.Contains(refusal.Message, " or one of 29 more keys") {
		t.Errorf("the message does not say how many keys there are more: %s", refusal.Message)
	}
}

func TestTooManySignatures(t *testing.T) {
	key, stranger := p256(t, "signer"), p256(t, "stranger")
	right, wrong := cosignSigned(t, artifact, key), bundleSigned(t, artifact, stranger)
	filled := func(n int) []verify.Signature { return slices.Repeat([]verify.Signature{wrong}, n) }
	policy := trusting(t, key)

	wantVerified(t, policy, artifact, append(filled(verify.MaxSignatures-1), right)...)
	wantVerified(t, policy, artifact, append([]verify.Signature{right}, filled(verify.MaxSignatures-1)...)...)
	wantVerified(t, policy, artifact, slices.Repeat([]verify.Signature{right}, verify.MaxSignatures)...)
	refusal := wantRefusal(t, verify.ReasonKeyMismatch, policy, artifact, filled(verify.MaxSignatures)...)
	if !strings.Contains(refusal.Message, "128 signatures that no trusted key verifies") {
		t.Errorf("not all of them were judged: %s", refusal.Message)
	}

	// One more, and nothing is judged: neither a yes, wherever the right one
	// stands, nor a no.
	tests := map[string][]verify.Signature{
		"RightFirst": append([]verify.Signature{right}, filled(verify.MaxSignatures)...),
		"RightLast":  append(filled(verify.MaxSignatures), right),
		"AllRight":   slices.Repeat([]verify.Signature{right}, verify.MaxSignatures+1),
		"AllWrong":   filled(verify.MaxSignatures + 1),
		"AllEmpty":   make([]verify.Signature, verify.MaxSignatures+1),
	}
	for name, signatures := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := verify.Verify(policy, artifact, signatures)
			if !v.IsZero() {
				t.Errorf("a Verified that is not zero: %+v", v)
			}
			var tooMany *verify.TooManySignaturesError
			var refused *verify.Refusal
			if !errors.As(err, &tooMany) || errors.As(err, &refused) {
				t.Fatalf("expected a *TooManySignaturesError, found %v", err)
			}
			if diff := cmp.Diff(&verify.TooManySignaturesError{Found: 129}, tooMany); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if got, want := err.Error(), "too many signatures to judge: 129 signatures, at most 128 signatures"; got != want {
				t.Errorf("expected %q, found %q", want, got)
			}
		})
	}
}

// The numbers are part of the design, and of what users were told.
func TestBounds(t *testing.T) {
	want := map[string]int{"keys": 32, "authorities": 16, "signatures": 128}
	got := map[string]int{"keys": verify.MaxKeys, "authorities": verify.MaxAuthorities, "signatures": verify.MaxSignatures}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bounds (-want +got):\n%s", diff)
	}
}

// What is judged stays what it was: signatures are kept beside the artifact,
// and judged again.
func TestVerifyChangesNothing(t *testing.T) {
	key := p256(t, "signer")
	policy := threshold(1, authority(t, "b", p256(t, "other"), key), authority(t, "a", key))
	signatures := append(unreadable(t), cosignSigned(t, another, key), bundleSigned(t, artifact, key), cosignSigned(t, artifact, key))
	seen := func() []string {
		all := []string{string(marshal(t, signatures))}
		for _, a := range policy.Authorities {
			all = append(all, a.Name)
			all = append(all, fingerprints(a.Keys)...)
		}
		return all
	}
	before := seen()
	for range 3 {
		wantVerified(t, policy, artifact, signatures...)
	}
	if diff := cmp.Diff(before, seen()); diff != "" {
		t.Errorf("Verify changed its arguments (-before +after):\n%s", diff)
	}
}
