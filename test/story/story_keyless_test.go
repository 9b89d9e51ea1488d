package story

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/sigstore"
)

// instances are two Sigstores, a public and a private one, made once.
var instances = sync.OnceValues(func() ([2]*sigstore.Sigstore, error) {
	public, err := sigstore.New()
	if err != nil {
		return [2]*sigstore.Sigstore{}, err
	}
	private, err := sigstore.New()
	return [2]*sigstore.Sigstore{public, private}, err
})

func sigstores(t *testing.T) (public, private *sigstore.Sigstore) {
	t.Helper()
	both, err := instances()
	if err != nil {
		t.Fatal(err)
	}
	return both[0], both[1]
}

var (
	ciRelease = sigstore.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0")
	auditor   = sigstore.Email("auditor@example.com", "https://sso.example.com")
)

// signAs signs a digest with a fresh certificate by an instance.
func (w *world) signAs(s *sigstore.Sigstore, who sigstore.Identity, repo, digest, format string) {
	w.t.Helper()
	signer, err := s.Issue(who, sigstore.CertificateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	request := sigstore.Request{Digest: digest, Format: sigstore.Format(format), Log: sigstore.Rekor1}
	if format == "bundle" {
		request.Log, request.Timestamp = sigstore.Rekor2, true
	}
	signed, err := s.Sign(signer, request)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := signed.Attach(background, w.repo(repo)+"@"+digest); err != nil {
		w.t.Fatal(err)
	}
}

// by is an authority that is one identity.
func by(name string, who sigstore.Identity, extensions ...v1alpha1.CertificateExtension) v1alpha1.Authority {
	return v1alpha1.Authority{Name: name, Keyless: &v1alpha1.KeylessAuthority{Identities: []v1alpha1.Identity{
		{Issuer: who.Issuer, Subject: who.Subject, Extensions: extensions},
	}}}
}

// trusting edits a spec to trust these authorities, all of which must sign.
func trusting(authorities ...v1alpha1.Authority) func(*v1alpha1.ModuleSourceSpec) {
	return func(s *v1alpha1.ModuleSourceSpec) {
		s.Version = "1.0.0"
		s.Verify = v1alpha1.Verify{SignatureGracePeriod: &metav1.Duration{}, Authorities: authorities}
		if n := int32(len(authorities)); n > 1 {
			s.Verify.Threshold = &n
		}
	}
}

var (
	isVerified  = map[string]string{"Verified": "True/SignatureVerified", "Ready": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished", "Stalled": "", "FetchFailed": ""}
	isWithdrawn = map[string]string{"ArtifactInStorage": "False/ArtifactWithdrawn"}
)

// awaitCondition waits for a condition, as "status/reason".
func (w *world) awaitCondition(name, kind, want string) *v1alpha1.ModuleSource {
	w.t.Helper()
	return w.await(name, kind+" is "+want, func(s *v1alpha1.ModuleSource) bool { return is(s, kind) == want })
}

// A module that a workflow signed: who it was is in the status and in the event.
func TestStoryKeyless(t *testing.T) {
	t.Parallel()
	public, _ := sigstores(t)
	for kind := range kinds {
		for _, format := range []string{"cosign", "bundle"} {
			t.Run(kind+"/"+format, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, settings{kind: kind, options: rootFile(t, public.TrustedRoot())})
				digest := w.push("app", "1.0.0", nil)
				w.signAs(public, ciRelease, "app", digest, format)
				w.apply("app", w.spec("app", trusting(by("ci", ciRelease, v1alpha1.CertificateExtension{Name: "githubWorkflowRef", Value: "refs/tags/v1.0.0"}))))
				obj := w.settled("app")
				wantConditions(t, obj, isVerified)
				wantSigner(t, obj, format)
				note := w.tells("app", "Normal SignatureVerified")[0].Note
				log := obj.Status.Verification.Signatures[0].TransparencyLog
				for _, says := range []string{
					"1.0.0@" + digest, "ci (" + format, fmt.Sprintf("issuer %q", ciRelease.Issuer), fmt.Sprintf("subject %q", ciRelease.Subject),
					fmt.Sprintf("log %s index %d", log.URL, log.Index), `githubWorkflowRef="refs/tags/v1.0.0"`,
				} {
					if !strings.Contains(note, says) {
						t.Errorf("expected an event that says %q, found %s", says, note)
					}
				}
			})
		}
	}
}

// wantSigner checks the evidence for ciRelease.
func wantSigner(t *testing.T, obj *v1alpha1.ModuleSource, format string) {
	t.Helper()
	s := obj.Status.Verification.Signatures[0]
	if s.Authority != "ci" || s.Format != format || s.Issuer != ciRelease.Issuer || s.Subject != ciRelease.Subject || s.KeyFingerprint != "" {
		t.Errorf("unlikely evidence %+v", s)
	}
	found := map[string]string{}
	for _, e := range s.Extensions {
		found[e.Name] = e.Value
	}
	if diff := cmp.Diff(ciRelease.Extensions, found); diff != "" {
		t.Errorf("extensions (-expected +found):\n%s", diff)
	}
	log := s.TransparencyLog
	if log == nil || len(log.LogID) < 8 || !strings.HasPrefix(log.URL, "https://") || (log.IntegratedTime == nil) != (format == "bundle") {
		t.Errorf("unlikely log entry %+v", log)
	}
	if (s.SignedTimestamp == nil) != (format == "cosign") {
		t.Errorf("unlikely timestamp %v", s.SignedTimestamp)
	}
}

// A typo in the identity is found by reading: the message says who signed. What
// does not verify is not named.
func TestStoryIdentityMismatch(t *testing.T) {
	t.Parallel()
	public, private := sigstores(t)
	w := newWorld(t, settings{options: rootFile(t, public.TrustedRoot())})
	w.signAs(public, ciRelease, "app", w.push("app", "1.0.0", nil), "bundle")
	typo := ciRelease
	typo.Subject = strings.Replace(typo.Subject, "release.yml", "release.yaml", 1)
	w.apply("app", w.spec("app", trusting(by("ci", typo))))
	obj := w.settled("app")
	wantConditions(t, obj, map[string]string{"Verified": "False/IdentityMismatch", "Ready": "False/IdentityMismatch", "Stalled": "True/IdentityMismatch"})
	for _, who := range []sigstore.Identity{typo, ciRelease} {
		if says := fmt.Sprintf("issuer %q, subject %q", who.Issuer, who.Subject); !strings.Contains(message(obj, "Verified"), says) {
			t.Errorf("expected a message that says %s, found %s", says, message(obj, "Verified"))
		}
	}
	if obj.Status.Artifact != nil {
		t.Error("published all the same")
	}

	w.signAs(private, auditor, "forged", w.push("forged", "1.0.0", nil), "bundle")
	w.apply("forged", w.spec("forged", trusting(by("ci", ciRelease))))
	obj = w.settled("forged")
	wantConditions(t, obj, map[string]string{"Verified": "False/TimestampInvalid"})
	if strings.Contains(message(obj, "Verified"), "auditor") {
		t.Errorf("the message names who did not verify: %s", message(obj, "Verified"))
	}

	w.edit("app", trusting(by("ci", ciRelease)))
	wantConditions(t, w.settled("app"), isVerified)
}

// The trusted root out of reach at start: keyed sources work, the others wait,
// and heal by themselves. A log whose key is new is known without a restart.
func TestStoryTrustedRootOverTUF(t *testing.T) {
	t.Parallel()
	public, private := sigstores(t)
	m := newMirror(t, public.TrustedRoot())
	m.set(func() { m.down = true })
	w := newWorld(t, settings{options: m.options})
	digest := w.release("keyed", "1.0.0", "cosign")
	w.apply("keyed", w.spec("keyed", nil))
	wantConditions(t, w.settled("keyed"), isVerified)
	if n := m.asked(); n != 0 {
		t.Errorf("a key with the log ignored needs no root; the mirror was asked %d times", n)
	}

	w.signAs(public, ciRelease, "app", w.push("app", "1.0.0", nil), "bundle")
	w.apply("app", w.spec("app", trusting(by("ci", ciRelease))))
	obj := w.await("app", "the mirror was asked in vain", func(s *v1alpha1.ModuleSource) bool {
		return strings.Contains(message(s, "Verified"), "it cannot be reached")
	})
	wantConditions(t, obj, map[string]string{"Verified": "Unknown/TrustUnavailable", "Ready": "Unknown/TrustUnavailable", "Reconciling": "True/Retrying", "Stalled": ""})
	if strings.Contains(message(obj, "Verified"), "secret") {
		t.Errorf("the message repeats what the mirror answered: %s", message(obj, "Verified"))
	}
	if got := w.series("assay_trusted_root_age_seconds"); len(got) > 0 {
		t.Errorf("expected no age while there is no root, found %v", got)
	}

	m.set(func() { m.down = false })
	first := w.awaitCondition("app", "Ready", "True/SignatureVerified")
	wantConditions(t, first, isVerified)

	// Nothing asks for a poll from here on: intervals are an hour long.
	w.signAs(private, ciRelease, "rotated", w.push("rotated", "1.0.0", nil), "cosign")
	both, err := sigstore.TrustedRoot(public.Roots(), private.Roots())
	if err != nil {
		t.Fatal(err)
	}
	m.publish(both)
	w.apply("rotated", w.spec("rotated", trusting(by("ci", ciRelease))))
	wantConditions(t, w.awaitCondition("rotated", "Ready", "True/SignatureVerified"), isVerified)
	obj = w.await("app", "it was judged again under the new root", func(s *v1alpha1.ModuleSource) bool {
		return s.Status.Verification.PolicyHash != first.Status.Verification.PolicyHash
	})
	wantConditions(t, obj, isVerified)
	if age := w.series("assay_trusted_root_age_seconds"); len(age) != 1 {
		t.Errorf("expected the root's age, found %v", age)
	}
	if keyed := w.get("keyed"); keyed.Status.Verification.Digest != digest || is(keyed, "Ready") != "True/SignatureVerified" {
		t.Errorf("the keyed source changed:\n%s", describe(keyed))
	}
}

// A restart does not make what is verified Unknown until the root has been
// fetched again.
func TestStoryRestartWaitsForTheRoot(t *testing.T) {
	t.Parallel()
	public, _ := sigstores(t)
	m := newMirror(t, public.TrustedRoot())
	w := newWorld(t, settings{options: func(o *controllers.Options) {
		m.options(o)
		o.StorageAdvAddr = "artifacts.example" // The same after the restart.
	}})
	w.signAs(public, ciRelease, "app", w.push("app", "1.0.0", nil), "bundle")
	w.apply("app", w.spec("app", trusting(by("ci", ciRelease))))
	before := w.awaitCondition("app", "Ready", "True/SignatureVerified")
	w.heard("app", 1)
	w.stopController()

	hold := make(chan struct{})
	m.set(func() { m.hold = hold })
	asked := m.asked()
	w.registry.Reset()
	w.start()
	w.awaitThat("the mirror is asked", func() bool { return m.asked() > asked })
	after := w.get("app")
	if diff := cmp.Diff(before.Status.Conditions, after.Status.Conditions); diff != "" {
		t.Errorf("the conditions changed while the root was being fetched:\n%s", diff)
	}
	close(hold)
	w.awaitThat("it is polled", func() bool { return len(w.registry.Requests()) > 0 })
	w.stopController()
	if after = w.get("app"); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("written for nothing:\n%s", describe(after))
	}
	w.tells("app", "Normal SignatureVerified") // And not that there was no root for a moment.
}

// Trusted roots of one's own, in ConfigMaps and Secrets, and what is wrong
// with them.
func TestStoryTrustedRootRef(t *testing.T) {
	t.Parallel()
	public, private := sigstores(t)
	noLog, err := sigstore.TrustedRoot(sigstore.Roots{CA: public, CTLog: public, TSA: public})
	if err != nil {
		t.Fatal(err)
	}
	good := string(public.TrustedRoot())
	rows := map[string]struct {
		entries  map[string]string // nil for no object
		key      string
		reason   string // "" where it is accepted
		stalled  bool
		says     []string
		thenGood bool // it heals when the object is as it should be
	}{
		"default entry":    {entries: map[string]string{"trusted_root.json": good}},
		"entry by name":    {entries: map[string]string{"ours.json": good, "trusted_root.json": "x"}, key: "ours.json"},
		"missing":          {reason: "TrustUnavailable", says: []string{"trustedRootRef", "does not exist in this namespace"}, thenGood: true},
		"no such entry":    {entries: map[string]string{"other.json": good}, reason: "InvalidTrust", stalled: true, says: []string{`expected the entry "trusted_root.json"`}},
		"other content":    {entries: map[string]string{"trusted_root.json": "-----BEGIN PRIVATE KEY-----"}, reason: "InvalidTrust", stalled: true, says: []string{`entry "trusted_root.json"`, "found something else"}},
		"empty root":       {entries: map[string]string{"trusted_root.json": `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`}, reason: "InvalidTrust", stalled: true, says: []string{"at least one authority or log"}},
		"root without log": {entries: map[string]string{"trusted_root.json": string(noLog)}, reason: "InvalidTrust", stalled: true, says: []string{"expected a trusted root with a transparency log", "found one without"}},
		"another's root":   {entries: map[string]string{"trusted_root.json": string(private.TrustedRoot())}, reason: "TimestampInvalid", stalled: true},
	}
	for _, kind := range []string{"ConfigMap", "Secret"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{})
			w.signAs(public, ciRelease, "app", w.push("app", "1.0.0", nil), "bundle")
			for row, r := range rows {
				t.Run(row, func(t *testing.T) {
					w, name := w.in(t), strings.ReplaceAll(row, " ", "-")
					name = strings.ReplaceAll(name, "'", "")
					if r.entries != nil {
						w.create(w.holding(kind, name, r.entries))
					}
					a := by("ci", ciRelease)
					a.TrustedRootRef = &v1alpha1.TrustedRootReference{Kind: kind, Name: name, Key: r.key}
					w.apply(name, w.spec("app", trusting(a)))
					obj := w.settled(name)
					if r.reason == "" {
						wantConditions(t, obj, isVerified)
						return
					}
					if got := is(obj, "Verified"); !strings.HasSuffix(got, "/"+r.reason) || strings.HasPrefix(got, "True") {
						t.Errorf("expected %s, found %s", r.reason, got)
					}
					if stalled := is(obj, "Stalled") == "True/"+r.reason; stalled != r.stalled {
						t.Errorf("expected Stalled: %t\n%s", r.stalled, describe(obj))
					}
					for _, says := range r.says {
						if !strings.Contains(message(obj, "Verified"), says) {
							t.Errorf("expected a message that says %q, found %s", says, message(obj, "Verified"))
						}
					}
					if strings.Contains(message(obj, "Verified"), "PRIVATE") {
						t.Errorf("the message repeats the content: %s", message(obj, "Verified"))
					}
					if r.thenGood {
						w.create(w.holding(kind, name, map[string]string{"trusted_root.json": good}))
						wantConditions(t, w.awaitCondition(name, "Ready", "True/SignatureVerified"), isVerified)
					}
				})
			}
		})
	}
}

// holding is a ConfigMap or a Secret with these entries.
func (w *world) holding(kind, name string, entries map[string]string) client.Object {
	meta := metav1.ObjectMeta{Namespace: w.namespace, Name: name}
	if kind == "Secret" {
		return &corev1.Secret{ObjectMeta: meta, StringData: entries}
	}
	return &corev1.ConfigMap{ObjectMeta: meta, Data: entries}
}

// A root that no longer trusts who signed withdraws what is published, with the
// registry down and for suspended sources too; one that still does renews the
// evidence, and asks nobody.
func TestStoryTrustedRootIsReplaced(t *testing.T) {
	t.Parallel()
	public, private := sigstores(t)
	both, err := sigstore.TrustedRoot(private.Roots(), public.Roots())
	if err != nil {
		t.Fatal(err)
	}
	for _, suspended := range []bool{false, true} {
		t.Run(fmt.Sprintf("suspended %t", suspended), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{})
			w.create(w.holding("ConfigMap", "root", map[string]string{"trusted_root.json": string(public.TrustedRoot())}))
			a := by("ci", ciRelease)
			a.TrustedRootRef = &v1alpha1.TrustedRootReference{Kind: "ConfigMap", Name: "root"}
			w.signAs(public, ciRelease, "app", w.push("app", "1.0.0", nil), "bundle")
			w.apply("app", w.spec("app", trusting(a)))
			first := w.settled("app")
			wantConditions(t, first, isVerified)
			if suspended {
				w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = true })
				w.settled("app")
			}
			w.registry.Down()

			w.change(w.holding("ConfigMap", "root", map[string]string{"trusted_root.json": string(both)}))
			second := w.poll("app")
			if second.Status.Artifact == nil || second.Status.Artifact.Digest != first.Status.Artifact.Digest || is(second, "Verified") != "True/SignatureVerified" {
				t.Errorf("expected the same artifact\n%s", describe(second))
			}
			if v := second.Status.Verification; v == nil || v.PolicyHash == first.Status.Verification.PolicyHash {
				t.Errorf("expected new evidence, found %+v", v)
			}

			w.change(w.holding("ConfigMap", "root", map[string]string{"trusted_root.json": string(private.TrustedRoot())}))
			third := w.poll("app")
			wantConditions(t, third, isWithdrawn)
			if third.Status.Artifact != nil {
				t.Error("expected no artifact")
			}
			if got := is(third, "Verified"); got != "False/TimestampInvalid" {
				t.Errorf("expected the verdict of the withdrawal, found %s", got)
			}
			w.gone(first.Status.Artifact.URL)
		})
	}
}

// One ModuleSource may trust a CI by the public root and an auditor by a
// private one, and a key besides; all of them must sign.
func TestStorySeveralRoots(t *testing.T) {
	t.Parallel()
	public, private := sigstores(t)
	w := newWorld(t, settings{options: rootFile(t, public.TrustedRoot())})
	w.create(w.holding("ConfigMap", "private", map[string]string{"trusted_root.json": string(private.TrustedRoot())}))
	ci, audit := by("ci", ciRelease), by("audit", auditor)
	audit.TrustedRootRef = &v1alpha1.TrustedRootReference{Kind: "ConfigMap", Name: "private"}
	digest := w.push("app", "1.0.0", nil)
	w.signAs(public, ciRelease, "app", digest, "cosign")
	w.apply("app", w.spec("app", trusting(ci, audit, inline("release-key", w.key))))
	wantConditions(t, w.settled("app"), map[string]string{"Verified": "False/ThresholdNotMet"})
	w.sign("app", digest, "bundle", w.key)
	obj := w.poll("app")
	wantConditions(t, obj, map[string]string{"Verified": "False/ThresholdNotMet"})
	for _, says := range []string{"found 2", fmt.Sprintf("ci by %q", ciRelease.Subject), "audit by none", "release-key by key"} {
		if !strings.Contains(message(obj, "Verified"), says) {
			t.Errorf("expected a message that says %q, found %s", says, message(obj, "Verified"))
		}
	}
	w.signAs(private, auditor, "app", digest, "bundle")
	obj = w.poll("app")
	wantConditions(t, obj, isVerified)
	var by []string
	for _, s := range obj.Status.Verification.Signatures {
		by = append(by, s.Authority)
	}
	if !slices.Equal(by, []string{"ci", "audit", "release-key"}) {
		t.Errorf("expected three signers, found %v", by)
	}
}

// What the API server keeps and this version does not know is refused, so that
// a misspelt field cannot widen trust.
func TestStoryMisspeltTrust(t *testing.T) {
	t.Parallel()
	public, _ := sigstores(t)
	w := newWorld(t, settings{options: rootFile(t, public.TrustedRoot())})
	w.signAs(public, ciRelease, "app", w.push("app", "1.0.0", nil), "bundle")
	extensions := []any{map[string]any{"name": "buildTrigger", "value": "never"}}
	ours := map[string]any{"kind": "ConfigMap", "name": "ours"}
	for name, edit := range map[string]func(verify, authority, identity map[string]any){
		"extensons":       func(_, _, identity map[string]any) { identity["extensons"] = extensions },
		"Extensions":      func(_, _, identity map[string]any) { identity["Extensions"] = extensions },
		"trustedRoot":     func(_, authority, _ map[string]any) { authority["trustedRoot"] = ours },
		"trustedrootref":  func(_, authority, _ map[string]any) { authority["trustedrootref"] = ours },
		"trustedRootRef":  func(verify, _, _ map[string]any) { verify["trustedRootRef"] = ours },
		"keyless.subject": func(_, authority, _ map[string]any) { authority["keyless"].(map[string]any)["subject"] = "x" },
		"key.secretRef.key": func(_, authority, _ map[string]any) {
			delete(authority, "keyless")
			authority["key"] = map[string]any{"secretRef": map[string]any{"name": "keys", "key": "only.pub"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			object := fmt.Sprintf("misspelt-%x", name)
			identity := map[string]any{"issuer": ciRelease.Issuer, "subject": ciRelease.Subject}
			authority := map[string]any{"name": "ci", "keyless": map[string]any{"identities": []any{identity}}}
			policy := map[string]any{"authorities": []any{authority}}
			edit(policy, authority, identity)
			source := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
				"url": "oci://" + w.repo("app"), "insecure": true, "version": "1.0.0", "verify": policy,
			}}}
			source.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.ModuleSourceKind))
			source.SetNamespace(w.namespace)
			source.SetName(object)
			w.create(source)
			obj := w.settled(object)
			wantConditions(t, obj, map[string]string{"Verified": "Unknown/InvalidSpec", "Stalled": "True/InvalidSpec", "ArtifactInStorage": "False/NoArtifact"})
			if says := "." + name + ": expected a field that this version knows"; !strings.Contains(message(obj, "Verified"), says) {
				t.Errorf("expected a message that says %s, found %s", says, message(obj, "Verified"))
			}
		})
	}
}

// awaitThat waits for something that is not a ModuleSource's.
func (w *world) awaitThat(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited %s until %s", patience, what)
		}
	}
}
