package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
)

// fixtureIdentities are who signed the fixtures with certificates, as a policy
// names them: exactly, by a regular expression, and with extensions.
var fixtureIdentities = map[fixtures.Identity]verify.IdentitySpec{
	fixtures.Email: {Issuer: fixtures.Email.Issuer, Subject: fixtures.Email.Subject},
	fixtures.GitHub: {
		Issuer: fixtures.GitHub.Issuer, Subject: fixtures.GitHub.Subject,
		Extensions: []verify.Extension{{Name: "githubWorkflowRef", Value: "refs/tags/v1.0.0"}, {Name: "sourceRepositoryURI", Value: "https://github.com/example-org/app"}},
	},
	fixtures.GitLab: {
		Issuer:        fixtures.GitLab.Issuer,
		SubjectRegExp: `https://gitlab\.com/example-group/app//\.gitlab-ci\.yml@refs/heads/.+`,
		Extensions:    []verify.Extension{{Name: "sourceRepositoryRef", Value: "refs/heads/main"}},
	},
}

// certifiedBy is who signed a fixture with a certificate, or who might have.
func certifiedBy(name string) verify.IdentitySpec {
	if who, ok := fixtures.Certified(name); ok {
		return fixtureIdentities[who]
	}
	return fixtureIdentities[fixtures.Email]
}

func rootOf(t testing.TB, name string) *verify.TrustedRoot {
	t.Helper()
	root, err := verify.ParseTrustedRoot(readFixture(t, "trust", name+".json"))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return root
}

func identityOf(t testing.TB, spec verify.IdentitySpec) verify.Identity {
	t.Helper()
	identity, err := verify.NewIdentity(spec)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func keyless(t testing.TB, root *verify.TrustedRoot, mode verify.LogMode, specs ...verify.IdentitySpec) verify.Policy {
	t.Helper()
	a := verify.Authority{Name: "keyless", TransparencyLog: mode, Root: root}
	for _, spec := range specs {
		a.Identities = append(a.Identities, identityOf(t, spec))
	}
	return threshold(1, a)
}

func keyedWithLog(t testing.TB, key string, root *verify.TrustedRoot) verify.Policy {
	t.Helper()
	p := trustingFixture(t, key)
	p.Authorities[0].TransparencyLog, p.Authorities[0].Root = verify.LogRequire, root
	return p
}

func readmeTable(t testing.TB) map[string]fixtures.Cells {
	t.Helper()
	table, err := fixtures.Table()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// fixtureSignatures are the signatures of a fixture that count, in both places.
func fixtureSignatures(t testing.TB, name string) (string, []verify.Signature) {
	t.Helper()
	digest, places := fixture(t, name)
	return digest, slices.Concat(places[".sig"], places[""])
}

// Every cell of the README's table but those of its first verdict, which
// TestFixtures has.
func TestFixturesUnderATrustedRoot(t *testing.T) {
	root := rootOf(t, "trusted_root")
	table := readmeTable(t)
	yes := map[string]int{}
	for _, name := range fixtures.Names() {
		row, ok := table[name]
		if !ok {
			t.Fatalf("the README's table has no %s", name)
		}
		digest, signatures := fixtureSignatures(t, name)
		for column, cell := range map[string]struct {
			want   string
			policy verify.Policy
		}{
			"key":             {row.KeyRequire, keyedWithLog(t, fixtures.KeyName(name), root)},
			"keyless":         {row.KeylessRequire, keyless(t, root, verify.LogRequire, certifiedBy(name))},
			"keyless, no log": {row.KeylessIgnore, keyless(t, root, verify.LogIgnore, certifiedBy(name))},
		} {
			t.Run(name+" "+column, func(t *testing.T) {
				if fixtures.Yes(cell.want) {
					yes[column]++
					wantCertified(t, name, wantVerified(t, cell.policy, digest, signatures...))
					wantRefusal(t, verify.ReasonSignatureInvalid, cell.policy, artifact, signatures...)
					return
				}
				wantRefusal(t, reasonInTable(name, column, cell.want), cell.policy, digest, signatures...)
			})
		}
	}
	if diff := cmp.Diff(map[string]int{"key": 7, "keyless": 12, "keyless, no log": 7}, yes); diff != "" {
		t.Errorf("cells that say yes (-want +got):\n%s", diff)
	}
}

// wantCertified checks what is said of who signed a fixture, and where it is
// logged.
func wantCertified(t *testing.T, name string, v verify.Verified) {
	t.Helper()
	s := v.Signers()[0]
	if s.KeyFingerprint == "" {
		spec := certifiedBy(name)
		if s.Issuer != spec.Issuer || (spec.Subject != "" && s.Subject != spec.Subject) {
			t.Errorf("expected %+v, found issuer %q, subject %q", spec, s.Issuer, s.Subject)
		}
		for _, e := range spec.Extensions {
			if !slices.Contains(s.Extensions, e) {
				t.Errorf("expected the extension %v among %v", e, s.Extensions)
			}
		}
	}
	if log := s.Log; log != nil {
		rekor2 := strings.Contains(name, "rekor2") || name == "two-signers" || name == "signed-and-attested"
		if len(log.LogID) != 64 || !strings.HasPrefix(log.URL, "http://127.0.0.1:") || log.IntegratedTime.IsZero() != rekor2 {
			t.Errorf("unlikely log entry %+v", log)
		}
	}
	if s.Log == nil && s.SignedTimestamp.IsZero() {
		t.Error("no log entry and no timestamp: nothing says when it was signed")
	}
}

// reasonInTable is why the table says no.
func reasonInTable(name, column, cell string) verify.Reason {
	_, byCertificate := fixtures.Certified(name)
	switch {
	case name == "unsigned", strings.HasPrefix(name, "attest-"):
		return verify.ReasonNoSignature
	case column == "key" && byCertificate:
		return verify.ReasonKeyMismatch
	case column == "key", cell == "no (log missing)":
		return verify.ReasonTransparencyLogMissing
	case cell == "no (no timestamp)":
		return verify.ReasonTimestampInvalid
	default: // by a key, and a certificate is wanted
		return verify.ReasonCertificateInvalid
	}
}

// A root in which one part is another's says no to what used that part.
func TestFixturesUnderOtherRoots(t *testing.T) {
	reasons := map[string]verify.Reason{
		"fulcio": verify.ReasonCertificateInvalid, "ct": verify.ReasonCertificateInvalid,
		"rekor": verify.ReasonTransparencyLogInvalid, "tsa": verify.ReasonTimestampInvalid,
	}
	for _, name := range fixtures.Names() {
		row := readmeTable(t)[name]
		stamped := fixtures.Stamped(name)
		digest, signatures := fixtureSignatures(t, name)
		for part, reason := range reasons {
			root := rootOf(t, "trusted_root_other_"+part)
			t.Run(name+" "+part, func(t *testing.T) {
				if fixtures.Yes(row.KeylessRequire) {
					policy := keyless(t, root, verify.LogRequire, certifiedBy(name))
					wantUnless(t, part == "tsa" && !stamped, reason, policy, digest, signatures)
				}
				if fixtures.Yes(row.KeylessIgnore) {
					policy := keyless(t, root, verify.LogIgnore, certifiedBy(name))
					wantUnless(t, part == "rekor", reason, policy, digest, signatures)
				}
				if fixtures.Yes(row.KeyRequire) {
					policy := keyedWithLog(t, fixtures.KeyName(name), root)
					wantUnless(t, part == "fulcio" || part == "ct" || (part == "tsa" && !stamped), reason, policy, digest, signatures)
				}
			})
		}
		if fixtures.Yes(row.KeylessRequire) {
			wantRefusal(t, verify.ReasonTransparencyLogInvalid,
				withoutStamps(t, stamped, keyless(t, rootOf(t, "trusted_root_other"), verify.LogRequire, certifiedBy(name))), digest, signatures...)
		}
	}
}

// withoutStamps skips what an untrusted timestamp refuses first.
func withoutStamps(t *testing.T, stamped bool, p verify.Policy) verify.Policy {
	t.Helper()
	if stamped {
		root, err := verify.ParseTrustedRoot(dropped(t, "trusted_root_other", "timestampAuthorities"))
		if err != nil {
			t.Fatal(err)
		}
		p.Authorities[0].Root = root
	}
	return p
}

func wantUnless(t *testing.T, unused bool, reason verify.Reason, policy verify.Policy, digest string, signatures []verify.Signature) {
	t.Helper()
	if unused {
		wantVerified(t, policy, digest, signatures...)
		return
	}
	wantRefusal(t, reason, policy, digest, signatures...)
}

// Another issuer, another subject, and the issuer of one with the subject of
// another are nobody's.
func TestFixturesByOthers(t *testing.T) {
	root := rootOf(t, "trusted_root")
	for _, name := range fixtures.Names() {
		if !fixtures.Yes(readmeTable(t)[name].KeylessRequire) {
			continue
		}
		right, _ := fixtures.Certified(name)
		other := fixtures.GitHub
		if right == other {
			other = fixtures.Email
		}
		digest, signatures := fixtureSignatures(t, name)
		for wrong, spec := range map[string]verify.IdentitySpec{
			"issuer":        {Issuer: right.Issuer + "/", Subject: right.Subject},
			"subject":       {Issuer: right.Issuer, Subject: right.Subject + "x"},
			"other issuer":  {Issuer: other.Issuer, Subject: right.Subject},
			"other subject": {Issuer: right.Issuer, Subject: other.Subject},
			"prefix":        {Issuer: right.Issuer, SubjectRegExp: strings.ReplaceAll(right.Subject[:len(right.Subject)-1], ".", `\.`)},
			"suffix":        {IssuerRegExp: right.Issuer[1:], Subject: right.Subject},
			"extension":     {Issuer: right.Issuer, Subject: right.Subject, Extensions: []verify.Extension{{Name: "buildTrigger", Value: "schedule"}}},
		} {
			t.Run(fmt.Sprintf("%s %s", name, wrong), func(t *testing.T) {
				refusal := wantRefusal(t, verify.ReasonIdentityMismatch, keyless(t, root, verify.LogRequire, spec), digest, signatures...)
				for _, part := range []string{right.Issuer, right.Subject} {
					if name != "two-signers" && !strings.Contains(refusal.Message, fmt.Sprintf("%q", part)) {
						t.Errorf("expected a message that names %s, found %s", part, refusal.Message)
					}
				}
			})
		}
	}
}

// Two signers, and two authorities that want one each.
func TestFixturesThreshold(t *testing.T) {
	root := rootOf(t, "trusted_root")
	digest, signatures := fixtureSignatures(t, "two-signers")
	both := threshold(2,
		keyless(t, root, verify.LogRequire, fixtureIdentities[fixtures.GitHub]).Authorities[0],
		keyless(t, root, verify.LogIgnore, fixtureIdentities[fixtures.GitLab]).Authorities[0])
	both.Authorities[1].Name = "other"
	wantVerified(t, both, digest, signatures...)
	for i := range signatures {
		wantRefusal(t, verify.ReasonThresholdNotMet, both, digest, signatures[i])
	}
	one := threshold(2,
		keyless(t, root, verify.LogRequire, fixtureIdentities[fixtures.GitHub], fixtureIdentities[fixtures.GitLab]).Authorities[0],
		keyless(t, root, verify.LogRequire, fixtureIdentities[fixtures.Email], fixtureIdentities[fixtures.GitHub]).Authorities[0])
	one.Authorities[1].Name = "other"
	wantVerified(t, one, digest, signatures...)
	wantRefusal(t, verify.ReasonThresholdNotMet, one, digest, signatures[0])

	digest, signatures = fixtureSignatures(t, "two-formats") // one signer
	two := threshold(2,
		keyless(t, root, verify.LogRequire, fixtureIdentities[fixtures.Email]).Authorities[0],
		keyless(t, root, verify.LogRequire, fixtureIdentities[fixtures.Email]).Authorities[0])
	two.Authorities[1].Name = "other"
	wantRefusal(t, verify.ReasonThresholdNotMet, two, digest, signatures...)
}
