package story

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/sigstore"
)

// otherRoots are the trusted roots in which one part signed nothing here, with
// the reason where that part was used.
var otherRoots = map[string]string{
	"fulcio": v1alpha1.ReasonCertificateInvalid,
	"ct":     v1alpha1.ReasonCertificateInvalid,
	"rekor":  v1alpha1.ReasonTransparencyLogInvalid,
	"tsa":    v1alpha1.ReasonTimestampInvalid,
}

// trustedRootConfigMap makes a ConfigMap with a fixture's trusted root.
func (w *world) trustedRootConfigMap(name string) *v1alpha1.TrustedRootReference {
	w.t.Helper()
	raw, err := fixtures.File("trust/" + name + ".json")
	if err != nil {
		w.t.Fatal(err)
	}
	object := strings.ReplaceAll(name, "_", "-")
	w.create(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: object},
		Data:       map[string]string{v1alpha1.DefaultTrustedRootKey: string(raw)},
	})
	return &v1alpha1.TrustedRootReference{Kind: "ConfigMap", Name: object}
}

// Every layout that the real tools wrote, in both kinds of registry, by keys
// with the log required and by certificates, under the right trusted root and
// under each wrong one.
func TestFixturesUnderTrustedRoots(t *testing.T) {
	t.Parallel()
	w, servers := bothRegistries(t)
	roots := map[string]*v1alpha1.TrustedRootReference{"": w.trustedRootConfigMap("trusted_root")}
	for part := range otherRoots {
		roots[part] = w.trustedRootConfigMap("trusted_root_other_" + part)
	}
	verdicts := map[string]expectedVerdict{}
	for kind, server := range servers {
		for name, row := range readmeTable(t) {
			digest, err := fixtures.Push(background, name, server.Host(), name, kind == "referrers")
			if err != nil {
				t.Fatal(err)
			}
			for column, c := range columnsOf(name, row) {
				for part, root := range roots {
					refused, relevant := c.expected(name, part)
					if !relevant {
						continue
					}
					v := expectedVerdict{url: "oci://" + server.Host() + "/" + name, digest: digest, authority: *c.authority.DeepCopy(), refused: refused, evidence: c.evidence}
					v.authority.TrustedRootRef = root
					verdicts[strings.Join([]string{kind, name, column, part}, "/")] = v
				}
			}
		}
	}
	judgeAll(t, w, verdicts)
}

// column is one of the README's, for one layout.
type column struct {
	cell      string
	authority v1alpha1.Authority
	evidence  v1alpha1.AcceptedSignature
	key       bool
}

func columnsOf(name string, row fixtures.Cells) map[string]column {
	who, certified := fixtures.Certified(name)
	if !certified {
		who = fixtures.Email
	}
	format := "cosign"
	if strings.Contains(name, "v3") && name != "v3-legacy-email" || strings.Contains(name, "bundle") || strings.HasPrefix(name, "two-") || name == "signed-and-attested" {
		format = "bundle"
	}
	pem := fixtures.Key(fixtures.KeyName(name))
	byKey := v1alpha1.Authority{Name: "a", Key: &v1alpha1.KeyAuthority{Data: string(pem)}, TransparencyLog: v1alpha1.TransparencyLogRequire}
	keyEvidence := v1alpha1.AcceptedSignature{Authority: "a", Format: format, KeyFingerprint: pemFingerprint(pem), TransparencyLog: logged}
	byCertificate := v1alpha1.Authority{Name: "a", Keyless: &v1alpha1.KeylessAuthority{Identities: []v1alpha1.Identity{
		{Issuer: "http://127.0.0.1:16080/nobody", SubjectRegExp: ".*"}, {Issuer: who.Issuer, Subject: who.Subject},
	}}}
	evidence := v1alpha1.AcceptedSignature{Authority: "a", Format: format, Issuer: who.Issuer, Subject: who.Subject, TransparencyLog: logged}
	if fixtures.Stamped(name) {
		keyEvidence.SignedTimestamp, evidence.SignedTimestamp = stamped, stamped
	}
	ignored, ignoredEvidence := *byCertificate.DeepCopy(), evidence
	ignored.TransparencyLog, ignoredEvidence.TransparencyLog = v1alpha1.TransparencyLogIgnore, nil
	return map[string]column{
		"key":             {row.KeyRequire, byKey, keyEvidence, true},
		"keyless":         {row.KeylessRequire, byCertificate, evidence, false},
		"keyless, no log": {row.KeylessIgnore, ignored, ignoredEvidence, false},
	}
}

// expected is the reason for which a layout is refused under a root of which
// one part is another's, "" where it is accepted. Where the right root refuses
// already, the others say nothing more.
func (c column) expected(name, part string) (reason string, relevant bool) {
	accepted := fixtures.Yes(c.cell)
	if part == "" && !accepted {
		return c.refusal(name), true
	}
	if part == "" || !accepted {
		return "", accepted
	}
	unused := part == "tsa" && !fixtures.Stamped(name) ||
		part == "rekor" && c.authority.TransparencyLog == v1alpha1.TransparencyLogIgnore ||
		c.key && (part == "fulcio" || part == "ct")
	if unused {
		return "", true
	}
	return otherRoots[part], true
}

// refusal is the reason for which the right root refuses.
func (c column) refusal(name string) string {
	_, certified := fixtures.Certified(name)
	switch {
	case name == "unsigned", strings.HasPrefix(name, "attest-"):
		return v1alpha1.ReasonNoSignature
	case c.key && certified:
		return v1alpha1.ReasonKeyMismatch
	case c.key, c.cell == "no (log missing)":
		return v1alpha1.ReasonTransparencyLogMissing
	case c.cell == "no (no timestamp)":
		return v1alpha1.ReasonTimestampInvalid
	default:
		return v1alpha1.ReasonCertificateInvalid
	}
}

// Two signers satisfy two authorities; one who signed twice does not.
func TestFixturesMeetAThreshold(t *testing.T) {
	t.Parallel()
	w, servers := bothRegistries(t)
	root := w.trustedRootConfigMap("trusted_root")
	both := func(s *v1alpha1.ModuleSourceSpec) {
		github, gitlab := by("github", identityOf(fixtures.GitHub)), by("gitlab", identityOf(fixtures.GitLab))
		github.TrustedRootRef, gitlab.TrustedRootRef = root, root
		trusting(github, gitlab)(s)
	}
	for kind, server := range servers {
		for name, want := range map[string]string{"two-signers": "True/SignatureVerified", "v3-rekor2-github": "False/ThresholdNotMet", "two-formats": "False/IdentityMismatch"} {
			if _, err := fixtures.Push(background, name, server.Host(), name, kind == "referrers"); err != nil {
				t.Fatal(err)
			}
			spec := w.spec("unused", both)
			spec.URL = "oci://" + server.Host() + "/" + name
			object := kind + "-" + name
			w.apply(object, spec)
			wantConditions(t, w.settled(object), map[string]string{"Verified": want})
		}
	}
}

func identityOf(i fixtures.Identity) sigstore.Identity {
	return sigstore.Identity{Issuer: i.Issuer, Subject: i.Subject}
}
