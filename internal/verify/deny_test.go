package verify_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
)

// denying is a policy that trusts a key and denies digests.
func denying(t testing.TB, digests ...string) verify.Policy {
	t.Helper()
	p := trusting(t, p256(t, "signer"))
	p.DenyDigests = digests
	return p
}

// A denied digest is refused, whatever its signatures; no other is.
func TestDeniedDigest(t *testing.T) {
	right := []verify.Signature{cosignSigned(t, artifact, p256(t, "signer")), bundleSigned(t, artifact, p256(t, "signer"))}
	for name, signatures := range map[string][]verify.Signature{
		"signed rightly": right, "not signed": nil, "malformed": {{}}, "signed by another": {cosignSigned(t, artifact, p256(t, "stranger"))},
		"over another": {cosignSigned(t, another, p256(t, "signer"))}, "too many": make([]verify.Signature, verify.MaxSignatures+1),
	} {
		t.Run(name, func(t *testing.T) {
			for _, denied := range [][]string{{artifact}, {another, artifact}, {artifact, another, artifact}} {
				refusal := wantRefusal(t, verify.ReasonDigestDenied, denying(t, denied...), artifact, signatures...)
				if want := artifact + ": expected a digest that is not denied, found it in verify.denyDigests"; refusal.Message != want || refusal.ByRoot {
					t.Errorf("expected %q, found %+v", want, refusal)
				}
			}
		})
	}
	wantVerified(t, denying(t, another), artifact, right...)
	wantVerified(t, denying(t), artifact, right...)
	near := artifact[:len(artifact)-1] + "0"
	if near == artifact {
		near = artifact[:len(artifact)-1] + "1"
	}
	wantVerified(t, denying(t, near), artifact, right...)
	// What is no digest is not judged, whatever is denied.
	wantRefusal(t, verify.ReasonSignatureInvalid, denying(t, artifact), strings.ToUpper(artifact), right...)
}

// A denied digest that could equal none is refused, and so are too many.
func TestInvalidDeniedDigests(t *testing.T) {
	hex := strings.TrimPrefix(artifact, "sha256:")
	many := make([]string, verify.MaxDenyDigests)
	for i := range many {
		many[i] = digestOf(fmt.Sprint(i))
	}
	if err := denying(t, many...).Validate(); err != nil {
		t.Errorf("the bound itself: %v", err)
	}
	if err := denying(t, artifact, artifact).Validate(); err != nil {
		t.Errorf("twice: %v", err)
	}
	for name, tt := range map[string]struct {
		denied []string
		field  string
	}{
		"empty":              {[]string{""}, "verify.denyDigests[0]"},
		"no algorithm":       {[]string{hex}, "verify.denyDigests[0]"},
		"second":             {[]string{artifact, hex}, "verify.denyDigests[1]"},
		"upper case":         {[]string{"sha256:" + strings.ToUpper(hex)}, "verify.denyDigests[0]"},
		"algorithm's case":   {[]string{"SHA256:" + hex}, "verify.denyDigests[0]"},
		"short":              {[]string{artifact[:len(artifact)-1]}, "verify.denyDigests[0]"},
		"long":               {[]string{artifact + "0"}, "verify.denyDigests[0]"},
		"a line after it":    {[]string{artifact + "\n"}, "verify.denyDigests[0]"},
		"no hexadecimal":     {[]string{artifact[:len(artifact)-1] + "g"}, "verify.denyDigests[0]"},
		"another algorithm":  {[]string{"sha512:" + hex + hex}, "verify.denyDigests[0]"},
		"a reference":        {[]string{"registry.example/app@" + artifact}, "verify.denyDigests[0]"},
		"a long text":        {[]string{strings.Repeat("x", 100_000)}, "verify.denyDigests[0]"},
		"one too many":       {append(slices.Clone(many), artifact), "verify.denyDigests"},
		"one twice too many": {append(slices.Clone(many), many[0]), "verify.denyDigests"},
	} {
		t.Run(name, func(t *testing.T) {
			policy := denying(t, tt.denied...)
			for range 2 {
				err := policy.Validate()
				var invalid *verify.PolicyError
				if !errors.As(err, &invalid) || invalid.Field != tt.field || len(invalid.Problem) > 500 {
					t.Errorf("expected the field %s, found %v", tt.field, err)
				}
			}
			var invalid *verify.PolicyError
			if v, err := verify.Verify(policy, artifact, nil); !errors.As(err, &invalid) || !v.IsZero() {
				t.Errorf("judged in spite of it: %v", err)
			}
		})
	}
}

// The hash has the denied digests as a set, and nothing where there are none.
func TestHashOfDeniedDigests(t *testing.T) {
	key := `{"version":1,"threshold":1,"authorities":[{"name":"release","keys":["` + fingerprint(t, p256(t, "signer")) + `"],"transparencyLog":"Ignore"}]`
	sorted := []string{artifact, another}
	slices.Sort(sorted)
	both := key + `,"denyDigests":["` + sorted[0] + `","` + sorted[1] + `"]}`
	for name, tt := range map[string]struct {
		policy verify.Policy
		form   string
	}{
		"none":          {trusting(t, p256(t, "signer")), key + "}"},
		"empty":         {denying(t, []string{}...), key + "}"},
		"one":           {denying(t, artifact), key + `,"denyDigests":["` + artifact + `"]}`},
		"two":           {denying(t, sorted[0], sorted[1]), both},
		"the other way": {denying(t, sorted[1], sorted[0]), both},
		"one twice":     {denying(t, sorted[1], sorted[0], sorted[1]), both},
	} {
		if got := tt.policy.Hash(); got != digestOf(tt.form) {
			t.Errorf("%s: expected the hash of %s", name, tt.form)
		}
	}
	denied := []string{sorted[1], sorted[0]}
	denying(t, denied...).Hash()
	if denied[0] != sorted[1] {
		t.Error("the caller's slice was changed")
	}
}
