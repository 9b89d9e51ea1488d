package verify_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/verify"
)

func TestNewIdentityRefuses(t *testing.T) {
	const issuer, subject = "https://issuer.example", "dev@example.com"
	long := strings.Repeat("x", verify.MaxIdentityLength+1)
	extension := func(pairs ...string) verify.IdentitySpec {
		return withExtensions(verify.IdentitySpec{Issuer: issuer, Subject: subject}, pairs...)
	}
	tests := map[string]struct {
		spec  verify.IdentitySpec
		field string
	}{
		"Nothing":             {verify.IdentitySpec{}, "issuer"},
		"NoIssuer":            {verify.IdentitySpec{Subject: subject}, "issuer"},
		"NoSubject":           {verify.IdentitySpec{Issuer: issuer}, "subject"},
		"TwoIssuers":          {verify.IdentitySpec{Issuer: issuer, IssuerRegExp: issuer, Subject: subject}, "issuer"},
		"TwoSubjects":         {verify.IdentitySpec{Issuer: issuer, Subject: subject, SubjectRegExp: subject}, "subject"},
		"LongIssuer":          {verify.IdentitySpec{Issuer: long, Subject: subject}, "issuer"},
		"LongSubject":         {verify.IdentitySpec{Issuer: issuer, SubjectRegExp: long}, "subject"},
		"BreaksOut":           {verify.IdentitySpec{Issuer: issuer, SubjectRegExp: "a)|(?:.*"}, "subjectRegExp"},
		"IssuerBreaksOut":     {verify.IdentitySpec{IssuerRegExp: "a)|(?:.*", Subject: subject}, "issuerRegExp"},
		"Unbalanced":          {verify.IdentitySpec{Issuer: issuer, SubjectRegExp: "("}, "subjectRegExp"},
		"Backslash":           {verify.IdentitySpec{Issuer: issuer, SubjectRegExp: `a\`}, "subjectRegExp"},
		"LookAhead":           {verify.IdentitySpec{Issuer: issuer, SubjectRegExp: "(?=a)"}, "subjectRegExp"},
		"QuotesTheEnd":        {verify.IdentitySpec{Issuer: issuer, SubjectRegExp: `\Qa`}, "subjectRegExp"},
		"Repeats":             {verify.IdentitySpec{Issuer: issuer, SubjectRegExp: "(?:" + strings.Repeat("a?", 200) + "){500}"}, "subjectRegExp"},
		"RepeatsRepeats":      {verify.IdentitySpec{Issuer: issuer, SubjectRegExp: "(?:(" + strings.Repeat("a?", 100) + "){30}){30}b"}, "subjectRegExp"},
		"UnknownExtension":    {extension("githubWorkflowEnvironment", "x"), "extensions[0].name"},
		"ExtensionCase":       {extension("GithubWorkflowRef", "x"), "extensions[0].name"},
		"NamelessExtension":   {extension("", "x"), "extensions[0].name"},
		"IssuerIsNoExtension": {extension("issuer", "x"), "extensions[0].name"},
		"ExtensionTwice":      {extension("buildTrigger", "x", "buildTrigger", "y"), "extensions[1].name"},
		"EmptyExtension":      {extension("buildTrigger", ""), "extensions[0].value"},
		"LongExtension":       {extension("buildTrigger", long), "extensions[0].value"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			identity, err := verify.NewIdentity(tt.spec)
			var bad *verify.IdentityError
			if !errors.As(err, &bad) {
				t.Fatalf("expected an *IdentityError, found %v", err)
			}
			if diff := cmp.Diff(tt.field, bad.Field); diff != "" {
				t.Errorf("field (-want +got):\n%s", diff)
			}
			if !strings.HasPrefix(bad.Problem, "expected ") || len(bad.Problem) > 1200 {
				t.Errorf("unlikely problem %q", bad.Problem)
			}
			p := threshold(1, verify.Authority{Name: "a", Identities: []verify.Identity{identity}, TransparencyLog: verify.LogRequire, Root: rootOf(t, "trusted_root")})
			if p.Validate() == nil {
				t.Error("what is refused can be used all the same")
			}
		})
	}
}

// Together regular expressions may repeat no more than two of the largest do.
func TestRegExpsTogether(t *testing.T) {
	large := verify.IdentitySpec{Issuer: "https://issuer.example", SubjectRegExp: "(?:" + strings.Repeat("a?", 49) + "){900}"}
	root := rootOf(t, "trusted_root")
	if err := keyless(t, root, verify.LogRequire, large, large).Validate(); err != nil {
		t.Errorf("expected two to be accepted, found %v", err)
	}
	if err := keyless(t, root, verify.LogRequire, large, large, large).Validate(); err == nil || !strings.Contains(err.Error(), "repeat less") {
		t.Errorf("expected three to be refused, found %v", err)
	}
}
