package verify_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
)

// What is no digest is refused as such, whatever was signed.
func TestDigestIsASHA256(t *testing.T) {
	key := p256(t, "signer")
	for _, d := range []string{"", ":", "sha256:"} {
		refusal := wantRefusal(t, verify.ReasonSignatureInvalid, trusting(t, key), d,
			cosignOver(t, key, marshal(t, cosignPayload(d, cosignType))), cosignOver(t, key, marshal(t, cosignPayload(":", cosignType))))
		if !strings.Contains(refusal.Message, "expected a sha256 digest") {
			t.Error(refusal.Message)
		}
	}
}

// Each bound of a root is what its message says.
func TestRootBounds(t *testing.T) {
	raw := readFixture(t, "trust", "trusted_root.json")
	exact := append(bytes.Clone(raw), bytes.Repeat([]byte(" "), verify.MaxTrustedRootBytes-len(raw))...)
	if _, err := verify.ParseTrustedRoot(exact); err != nil {
		t.Error(err)
	}
	for _, part := range []string{"tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"} {
		fill := func(n int) []byte {
			return edited(t, "trusted_root", func(r map[string]any) {
				for len(r[part].([]any)) < n {
					r[part] = append(r[part].([]any), r[part].([]any)[0])
				}
			})
		}
		if _, err := verify.ParseTrustedRoot(fill(64)); err != nil {
			t.Errorf("%s: %v", part, err)
		}
		if _, err := verify.ParseTrustedRoot(fill(65)); err == nil || !strings.Contains(err.Error(), "at most 64") {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// What is as long as it may be is taken.
func TestIdentityBounds(t *testing.T) {
	long := strings.Repeat("x", verify.MaxIdentityLength)
	extensions := []verify.Extension{{Name: "runnerEnvironment", Value: long}, {Name: "buildTrigger", Value: "a"}}
	for _, spec := range []verify.IdentitySpec{
		{Issuer: long, Subject: long}, {IssuerRegExp: long, SubjectRegExp: long}, {Issuer: long, Subject: long, Extensions: extensions},
	} {
		identityOf(t, spec)
	}
	if extensions[0].Name != "runnerEnvironment" {
		t.Error("the caller's slice was changed")
	}
}

// Identities are counted over all authorities.
func TestIdentitiesOfAllAuthorities(t *testing.T) {
	root := rootOf(t, "trusted_root")
	ids := someIdentities(t, 32)
	of := func(name string, ids []verify.Identity) verify.Authority {
		return verify.Authority{Name: name, Identities: ids, TransparencyLog: verify.LogRequire, Root: root}
	}
	if err := threshold(1, of("a", ids)).Validate(); err != nil {
		t.Error(err)
	}
	if err := threshold(1, of("a", ids), of("b", ids[:1])).Validate(); err == nil {
		t.Error("33 identities in two authorities")
	}
}

// A signature's predicate says nothing, so it may be anything.
func TestPredicateOfASignature(t *testing.T) {
	key := p256(t, "signer")
	s := statement(signPredicate, subject(artifact))
	s["predicate"] = 1
	wantVerified(t, trusting(t, key), artifact, bundleOver(t, key, s))
}
