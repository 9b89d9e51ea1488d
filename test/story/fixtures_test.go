package story

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// signedBy says of a fixture which key signed it, and in which format; both are
// empty where no key did. Under every other key it is refused for a reason.
type signedBy struct {
	key, format string
	otherwise   string
}

// judgedFixtures is the column "key, log Ignore" of the fixtures' README.
var judgedFixtures = map[string]signedBy{
	"unsigned":             {otherwise: v1alpha1.ReasonNoSignature},
	"v2-key":               {"cosign", "cosign", v1alpha1.ReasonKeyMismatch},
	"v2-key-notlog":        {"cosign", "cosign", v1alpha1.ReasonKeyMismatch},
	"v3-key":               {"cosign", "bundle", v1alpha1.ReasonKeyMismatch},
	"v3-key-rekor2":        {"cosign", "bundle", v1alpha1.ReasonKeyMismatch},
	"v3-key-notlog":        {"cosign", "bundle", v1alpha1.ReasonKeyMismatch},
	"other-key-notlog":     {"other", "bundle", v1alpha1.ReasonKeyMismatch},
	"v2-email":             {otherwise: v1alpha1.ReasonKeyMismatch},
	"v2-github":            {otherwise: v1alpha1.ReasonKeyMismatch},
	"v2-gitlab":            {otherwise: v1alpha1.ReasonKeyMismatch},
	"v3-legacy-email":      {otherwise: v1alpha1.ReasonKeyMismatch},
	"v2-bundle-email":      {otherwise: v1alpha1.ReasonKeyMismatch},
	"v3-rekor1-github":     {otherwise: v1alpha1.ReasonKeyMismatch},
	"v3-rekor1-tsa-gitlab": {otherwise: v1alpha1.ReasonKeyMismatch},
	"v3-rekor2-github":     {otherwise: v1alpha1.ReasonKeyMismatch},
	"v3-tsa-email":         {otherwise: v1alpha1.ReasonKeyMismatch},
	"two-formats":          {otherwise: v1alpha1.ReasonKeyMismatch},
	"two-signers":          {otherwise: v1alpha1.ReasonKeyMismatch},
	"v2-tsa-email":         {otherwise: v1alpha1.ReasonKeyMismatch},
	"v2-tsa-notlog-email":  {otherwise: v1alpha1.ReasonKeyMismatch},
	"rsa-v2-notlog":        {"rsa", "cosign", v1alpha1.ReasonKeyMismatch},
	"p384-v2-notlog":       {"p384", "cosign", v1alpha1.ReasonKeyMismatch},
	"p521-v2-notlog":       {"p521", "cosign", v1alpha1.ReasonKeyMismatch},
	"ed25519-v2-notlog":    {"ed25519", "cosign", v1alpha1.ReasonKeyMismatch},
	"rsa-v3-notlog":        {"rsa", "bundle", v1alpha1.ReasonKeyMismatch},
	"p384-v3-notlog":       {"p384", "bundle", v1alpha1.ReasonKeyMismatch},
	"p521-v3-notlog":       {"p521", "bundle", v1alpha1.ReasonKeyMismatch},
	"rsa-v3-rekor2":        {"rsa", "bundle", v1alpha1.ReasonKeyMismatch},
	"p384-v3-rekor2":       {"p384", "bundle", v1alpha1.ReasonKeyMismatch},
	"p521-v3-rekor2":       {"p521", "bundle", v1alpha1.ReasonKeyMismatch},
	"rsa-v2-rekor1":        {"rsa", "cosign", v1alpha1.ReasonKeyMismatch},
	// An attestation is not a signature.
	"attest-v2":           {otherwise: v1alpha1.ReasonNoSignature},
	"attest-v3":           {otherwise: v1alpha1.ReasonNoSignature},
	"attest-v3-rekor2":    {otherwise: v1alpha1.ReasonNoSignature},
	"signed-and-attested": {otherwise: v1alpha1.ReasonKeyMismatch},
}

// fixtureKeys are the keys of the fixtures, one of each type and a second one
// on P-256.
var fixtureKeys = []string{"cosign", "other", "rsa", "p384", "p521", "ed25519"}

func TestFixturesAreJudgedAsTheirReadmeSays(t *testing.T) {
	cells := map[string]string{}
	for name, row := range readmeTable(t) {
		cells[name] = row.KeyIgnore
	}
	want := map[string]string{}
	for name, s := range judgedFixtures {
		switch s.key {
		case "":
			want[name] = "no"
		case "other":
			want[name] = "only with `other.pub`"
		default:
			want[name] = "yes"
		}
	}
	if diff := cmp.Diff(cells, want); diff != "" {
		t.Errorf("the column of the README and the table here differ (-README +here):\n%s", diff)
	}
	for _, name := range fixtures.Names() {
		if _, ok := judgedFixtures[name]; !ok {
			t.Errorf("the fixture %s is not judged", name)
		}
	}
}

func readmeTable(t *testing.T) map[string]fixtures.Cells {
	t.Helper()
	table, err := fixtures.Table()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// expectedVerdict is what is expected of one ModuleSource.
type expectedVerdict struct {
	url, digest string
	authority   v1alpha1.Authority
	refused     string // the reason; "" where it is accepted
	// evidence is what is said of who signed, if it is accepted. Log entry and
	// timestamp are only compared for being there.
	evidence v1alpha1.AcceptedSignature
}

// logged and stamped stand for any log entry and timestamp in evidence.
var (
	logged  = &v1alpha1.TransparencyLogEntry{}
	stamped = &metav1.Time{}
)

// underKey is a verdict under a key with the log ignored: accepted in a format,
// or refused for a reason.
func underKey(url, digest string, pem []byte, format, refused string) expectedVerdict {
	v := expectedVerdict{url: url, digest: digest, refused: refused, authority: v1alpha1.Authority{
		Name: "key", Key: &v1alpha1.KeyAuthority{Data: string(pem)}, TransparencyLog: v1alpha1.TransparencyLogIgnore,
	}}
	if format != "" {
		v.refused = ""
		v.evidence = v1alpha1.AcceptedSignature{Authority: "key", Format: format, KeyFingerprint: pemFingerprint(pem)}
	}
	return v
}

// judgeAll makes a ModuleSource of each verdict, all at the same time, and
// compares them.
func judgeAll(t *testing.T, w *world, verdicts map[string]expectedVerdict) {
	t.Helper()
	names := map[string]string{}
	for row, v := range verdicts {
		names[row] = fmt.Sprintf("source-%d", len(names))
		w.apply(names[row], v1alpha1.ModuleSourceSpec{
			URL: v.url, Version: "1.0.0", Insecure: true,
			Verify: v1alpha1.Verify{SignatureGracePeriod: &metav1.Duration{}, Authorities: []v1alpha1.Authority{v.authority}},
		})
	}
	for row, v := range verdicts {
		t.Run(row, func(t *testing.T) {
			obj := w.in(t).settled(names[row])
			if v.refused != "" {
				wantConditions(t, obj, map[string]string{
					"Verified": "False/" + v.refused, "Ready": "False/" + v.refused, "Stalled": "True/" + v.refused,
					"ArtifactInStorage": "False/NoArtifact", "FetchFailed": "", "Reconciling": "",
				})
				if obj.Status.Artifact != nil || obj.Status.Verification != nil || len(obj.Status.History) != 0 {
					t.Errorf("expected nothing to be published, found %+v", obj.Status)
				}
				return
			}
			wantConditions(t, obj, map[string]string{
				"Verified": "True/SignatureVerified", "Ready": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished",
				"Stalled": "", "FetchFailed": "", "Reconciling": "",
			})
			if obj.Status.Artifact == nil || obj.Status.Verification == nil {
				t.Fatalf("expected an artifact and its evidence\n%s", describe(obj))
			}
			if revision := "1.0.0@" + v.digest; obj.Status.Artifact.Revision != revision || obj.Status.Verification.Digest != v.digest {
				t.Errorf("expected the revision %s, found %+v with evidence for %s", revision, obj.Status.Artifact, obj.Status.Verification.Digest)
			}
			if diff := cmp.Diff([]v1alpha1.AcceptedSignature{v.evidence}, obj.Status.Verification.Signatures, presenceOnly); diff != "" {
				t.Errorf("evidence (-expected +found):\n%s", diff)
			}
			if code, body := download(t, obj.Status.Artifact.URL); code != 200 || sha256Of(body) != obj.Status.Artifact.Digest {
				t.Errorf("expected the archive %s, found %d and %d bytes", obj.Status.Artifact.Digest, code, len(body))
			}
		})
	}
}

// presenceOnly compares log entries and timestamps for being there, and leaves
// out what else certificates say.
var presenceOnly = cmp.Options{
	cmp.Transformer("presence", func(e *v1alpha1.TransparencyLogEntry) bool { return e != nil }),
	cmp.Transformer("presence", func(at *metav1.Time) bool { return at != nil }),
	cmpopts.IgnoreFields(v1alpha1.AcceptedSignature{}, "Extensions"),
}

// pemFingerprint is that of a public key in PEM: of the DER encoded
// SubjectPublicKeyInfo, which is all that the block holds.
func pemFingerprint(text []byte) string {
	block, _ := pem.Decode(text)
	return sha256Of(block.Bytes)
}

func sha256Of(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// bothRegistries is a world with a registry of each kind.
func bothRegistries(t *testing.T) (*world, map[string]*registry.Server) {
	t.Helper()
	w := newWorld(t, settings{kind: "referrers", options: func(o *controllers.Options) { o.Concurrent = 16 }})
	other, err := registry.Distribution(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	return w, map[string]*registry.Server{"referrers": w.registry, "distribution": other}
}

// Every layout that the real tools wrote, in both kinds of registry, under each
// key.
func TestFixtures(t *testing.T) {
	t.Parallel()
	w, servers := bothRegistries(t)
	verdicts := map[string]expectedVerdict{}
	for kind, server := range servers {
		for _, name := range fixtures.Names() {
			digest, err := fixtures.Push(background, name, server.Host(), name, kind == "referrers")
			if err != nil {
				t.Fatal(err)
			}
			signed := judgedFixtures[name]
			for _, key := range fixtureKeys {
				format := ""
				if key == signed.key {
					format = signed.format
				}
				verdicts[kind+"/"+name+"/"+key] = underKey("oci://"+server.Host()+"/"+name, digest, fixtures.Key(key), format, signed.otherwise)
			}
		}
	}
	judgeAll(t, w, verdicts)
}

// Every way in which a key signs, in both formats: those too that the tools of
// the fixtures do not use.
func TestWaysOfSigning(t *testing.T) {
	t.Parallel()
	ways := map[signing.Kind][]signing.Scheme{
		signing.RSA2048:   {signing.CosignDefault},
		signing.RSA3072:   {signing.CosignDefault},
		signing.ECDSAP256: {signing.CosignDefault},
		signing.ECDSAP384: {signing.CosignDefault, signing.SHA256},
		signing.ECDSAP521: {signing.CosignDefault, signing.SHA256},
		signing.Ed25519:   {signing.CosignDefault, signing.PureEd25519},
	}
	if len(ways) != len(signing.Kinds()) {
		t.Fatalf("expected every kind of key, found %d of %d", len(ways), len(signing.Kinds()))
	}
	w, servers := bothRegistries(t)
	stranger := newKey(t, signing.ECDSAP256).PublicPEM()
	verdicts := map[string]expectedVerdict{}
	for kind, schemes := range ways {
		key := newKey(t, kind)
		for _, scheme := range schemes {
			signer, err := key.Using(scheme)
			if err != nil {
				t.Fatal(err)
			}
			for registryKind, server := range servers {
				for _, format := range []string{"cosign", "bundle"} {
					row := fmt.Sprintf("%s/%s/%s/%s", registryKind, kind, scheme, format)
					repo := strings.ReplaceAll(row, "default", "cosign-default")
					digest := pushTo(t, server, repo)
					signAt(t, server, repo, digest, format, signer)
					url := "oci://" + server.Host() + "/" + repo
					verdicts[row] = underKey(url, digest, key.PublicPEM(), format, "")
					verdicts[row+"/another key"] = underKey(url, digest, stranger, "", v1alpha1.ReasonKeyMismatch)
				}
			}
		}
	}
	judgeAll(t, w, verdicts)
}
