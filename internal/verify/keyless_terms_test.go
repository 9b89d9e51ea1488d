package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// What one authority finds about a certificate is not another's, where their
// terms differ.
func TestTermsAreEachAuthoritys(t *testing.T) {
	for _, format := range bothFormats {
		a := rightAttempt(t, format)
		a.request.Log, a.request.Timestamp = sigstore.NoLog, true
		root := trustedRoot(t, a.roots)
		require := keyless(t, root, verify.LogRequire, a.spec).Authorities[0]
		ignore := keyless(t, root, verify.LogIgnore, a.spec).Authorities[0]
		require.Name, ignore.Name = "require", "ignore"
		signature := signatureOf(t, a.sign(t))
		for _, all := range [][]verify.Authority{{require, ignore}, {ignore, require}} {
			v := wantVerified(t, threshold(1, all...), artifact, signature)
			if s := v.Signers(); len(s) != 1 || s[0].Authority != "ignore" || s[0].Log != nil {
				t.Errorf("%s: unlikely evidence %+v", format, s)
			}
		}
	}
}

// A reason is that of the authority for which a signature got furthest,
// whichever comes first.
func TestReasonOfAuthorities(t *testing.T) {
	a := rightAttempt(t, sigstore.FormatBundle)
	near := keyless(t, trustedRoot(t, a.roots), verify.LogRequire, verify.IdentitySpec{Issuer: release.Issuer, Subject: "nobody"}).Authorities[0]
	far := keyless(t, trustedRoot(t, theirs(t).Roots()), verify.LogRequire, a.spec).Authorities[0]
	near.Name, far.Name = "near", "far"
	signature := signatureOf(t, a.sign(t))
	wantRefusal(t, verify.ReasonIdentityMismatch, threshold(1, near, far), artifact, signature)
	wantRefusal(t, verify.ReasonIdentityMismatch, threshold(1, far, near), artifact, signature)
}

// A certificate that is right in all else does not make up for the signature.
func TestBrokenSignature(t *testing.T) {
	for _, format := range bothFormats {
		a := rightAttempt(t, format)
		a.mode, a.request.Log, a.request.Timestamp = verify.LogIgnore, sigstore.NoLog, true
		s := a.sign(t)
		s.Certificate = a.signer(t).Certificate
		refusal := wantRefusal(t, verify.ReasonSignatureInvalid, a.policy(t), artifact, signatureOf(t, s))
		if !strings.Contains(refusal.Message, "that the library of its format refuses, though all around it verifies") {
			t.Error(refusal.Message)
		}
	}
}

// However long the claims and many the signers, a message is bounded, says how
// many it left out, and is the same each time.
func TestKeylessMessages(t *testing.T) {
	root := trustedRoot(t, ours(t).Roots())
	var specs []verify.IdentitySpec
	for i := range verify.MaxIdentities {
		specs = append(specs, verify.IdentitySpec{Issuer: strings.Repeat("i", 512), Subject: fmt.Sprintf("%02d", i) + strings.Repeat("s", 510)})
	}
	policy := keyless(t, root, verify.LogRequire, specs...)
	var signatures []verify.Signature
	for i := range 5 {
		a := rightAttempt(t, sigstore.FormatBundle)
		a.identity = sigstore.Identity{Issuer: "https://x" + strings.Repeat("é", 500), Subject: fmt.Sprintf("https://%d/", i) + strings.Repeat("x", 1000)}
		signatures = append(signatures, signatureOf(t, a.sign(t)))
	}
	refusal := wantRefusal(t, verify.ReasonIdentityMismatch, policy, artifact, signatures...)
	if len(refusal.Message) > 2048 || strings.Contains(refusal.Message, `\x`) {
		t.Errorf("%d bytes: %s", len(refusal.Message), refusal.Message)
	}
	for _, says := range []string{`"https://0/x`, `"https://1/x`, "and 3 more", "or one of 30 more signers"} {
		if !strings.Contains(refusal.Message, says) {
			t.Errorf("expected %q in %s", says, refusal.Message)
		}
	}
	for range 20 {
		if again := wantRefusal(t, verify.ReasonIdentityMismatch, policy, artifact, signatures...); again.Message != refusal.Message {
			t.Fatal("another message for the same input")
		}
	}

	// Who satisfied one authority of two.
	a := rightAttempt(t, sigstore.FormatBundle)
	a.identity.Subject = "https://" + strings.Repeat("x", 1000)
	a.spec = verify.IdentitySpec{Issuer: release.Issuer, SubjectRegExp: "https://x+"}
	two := threshold(2, keyless(t, root, verify.LogRequire, a.spec).Authorities[0], keyless(t, root, verify.LogRequire, specs[0]).Authorities[0])
	two.Authorities[1].Name = "second"
	if r := wantRefusal(t, verify.ReasonThresholdNotMet, two, artifact, signatureOf(t, a.sign(t))); len(r.Message) > 500 {
		t.Errorf("%d bytes: %s", len(r.Message), r.Message)
	}

	// An extension is named only where it alone is wrong.
	b := rightAttempt(t, sigstore.FormatBundle)
	b.spec = withExtensions(verify.IdentitySpec{Issuer: release.Issuer, Subject: "nobody"}, "buildTrigger", "pull")
	if r := wantRefusal(t, verify.ReasonIdentityMismatch, b.policy(t), artifact, signatureOf(t, b.sign(t))); strings.Contains(r.Message, "buildTrigger") {
		t.Error(r.Message)
	}
}
