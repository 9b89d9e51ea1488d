package interop

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// identity is a policy's identity, with everything that the certificate says.
func identity(t *testing.T, who sigstore.Identity) verify.Identity {
	t.Helper()
	spec := verify.IdentitySpec{Issuer: who.Issuer, Subject: who.Subject}
	for _, name := range verify.ExtensionNames() {
		if value, ok := who.Extensions[name]; ok {
			spec.Extensions = append(spec.Extensions, verify.Extension{Name: name, Value: value})
		}
	}
	made, err := verify.NewIdentity(spec)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// root is a trusted root with these parts.
func root(t *testing.T, parts sigstore.Roots) *verify.TrustedRoot {
	t.Helper()
	document, err := sigstore.TrustedRoot(parts)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := verify.ParseTrustedRoot(document)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// by is a policy that trusts one identity.
func by(t *testing.T, who sigstore.Identity, parts sigstore.Roots, log verify.LogMode) verify.Policy {
	t.Helper()
	return verify.Policy{Threshold: 1, Authorities: []verify.Authority{{
		Name: "ci", Identities: []verify.Identity{identity(t, who)}, TransparencyLog: log, Root: root(t, parts),
	}}}
}

// accepted verifies, and returns the one who signed.
func accepted(t *testing.T, policy verify.Policy, digest string, signatures []verify.Signature) verify.Signer {
	t.Helper()
	verified, err := verify.Verify(policy, digest, signatures)
	if err != nil {
		t.Fatal(err)
	}
	signers := verified.Signers()
	if len(signers) != 1 || verified.Panics() != 0 {
		t.Fatalf("expected one signer and no panics, found %d and %d", len(signers), verified.Panics())
	}
	return signers[0]
}

// refused wants a refusal for a reason.
func refused(t *testing.T, policy verify.Policy, digest string, signatures []verify.Signature, want verify.Reason) {
	t.Helper()
	_, err := verify.Verify(policy, digest, signatures)
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("expected a refusal for %s, found %v", want, err)
	}
	if refusal.Reason != want || refusal.Panics != 0 {
		t.Errorf("expected %s, found %s after %d panics: %s", want, refusal.Reason, refusal.Panics, refusal.Message)
	}
}

// wantIdentity compares who signed with whom Fulcio was to certify.
func wantIdentity(t *testing.T, signer verify.Signer, who sigstore.Identity) {
	t.Helper()
	found := sigstore.Identity{Issuer: signer.Issuer, Subject: signer.Subject, Extensions: map[string]string{}}
	for _, e := range signer.Extensions {
		found.Extensions[e.Name] = e.Value
	}
	if diff := cmp.Diff(who, found); diff != "" {
		t.Errorf("who signed (-expected +found):\n%s", diff)
	}
}
