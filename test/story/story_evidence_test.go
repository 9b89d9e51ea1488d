package story

import (
	"strings"
	"testing"
	"time"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

// Where the signatures beside an archive are lost, and the registry does not
// answer, its evidence says whether it may stay under another policy.
func TestStorySignaturesAreLost(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		edit    func(w *world) func(*v1alpha1.ModuleSourceSpec)
		suspend bool
		stays   bool
		reason  string // of a withdrawal
	}{
		"the signer is allowed": {
			edit: func(w *world) func(*v1alpha1.ModuleSourceSpec) {
				return trusts(inline("renamed", newKey(w.t, signing.Ed25519), w.key))
			}, stays: true,
		},
		"the signer is allowed, suspended": {
			edit:    func(w *world) func(*v1alpha1.ModuleSourceSpec) { return trusts(inline("renamed", w.key)) },
			suspend: true, stays: true,
		},
		"the signer is not": {
			edit: func(w *world) func(*v1alpha1.ModuleSourceSpec) {
				return trusts(inline("release-key", newKey(w.t, signing.Ed25519)))
			}, reason: "TrustWithdrawn",
		},
		"the signer is not, suspended": {
			edit: func(w *world) func(*v1alpha1.ModuleSourceSpec) {
				return trusts(inline("release-key", newKey(w.t, signing.Ed25519)))
			}, suspend: true, reason: "TrustWithdrawn",
		},
		"one signer is not enough": {
			edit: func(w *world) func(*v1alpha1.ModuleSourceSpec) {
				return func(s *v1alpha1.ModuleSourceSpec) {
					trusts(inline("release-key", w.key), inline("other", newKey(w.t, signing.Ed25519)))(s)
					*s.Verify.Threshold = 2
				}
			}, reason: "TrustWithdrawn",
		},
		"the digest is denied": {
			edit: func(w *world) func(*v1alpha1.ModuleSourceSpec) {
				return func(s *v1alpha1.ModuleSourceSpec) {
					s.Verify.DenyDigests = []string{w.get("app").Status.Verification.Digest}
				}
			}, reason: "DigestDenied",
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{})
			digest := w.release("app", "1.0.0", "bundle")
			w.apply("app", w.spec("app", nil))
			url := w.ready("app").Status.Artifact.URL
			if row.suspend {
				w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = true })
				w.settled("app")
			}
			w.registry.Down()
			remove(t, w, ".json")
			w.edit("app", row.edit(w))
			obj := w.settled("app")
			if !row.stays {
				if found := is(obj, "Verified"); found != "False/"+row.reason || obj.Status.Artifact != nil {
					t.Errorf("expected it withdrawn for %s, found\n%s", row.reason, describe(obj))
				}
				w.gone(url)
				return
			}
			want := w.released("1.0.0", digest)
			want.conditions = keeping(but(unreachable("RegistryUnavailable")))
			if row.suspend {
				want.conditions = but(published(), "Verified", "Unknown/Progressing", "Ready", "Unknown/Progressing")
			}
			w.expect(obj, want)
			if code, _ := download(t, url); code != 200 {
				t.Errorf("expected it to be served, found %d", code)
			}
			up(t, w.registry)
			w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = false })
			w.poll("app")
			after := w.ready("app")
			w.expect(after, w.released("1.0.0", digest))
			if after.Status.Verification.Signatures[0].Authority != "renamed" {
				t.Errorf("expected renewed evidence, found %+v", after.Status.Verification)
			}
		})
	}
}

// A digest that is known to be bad is withdrawn and refused, whoever signed it.
func TestStoryDigestIsDenied(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		digest := w.release("app", "1.0.0", format)
		w.apply("app", w.spec("app", versioned("1.x")))
		url := w.ready("app").Status.Artifact.URL
		w.registry.Down()
		w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Verify.DenyDigests = []string{digest} })
		obj := w.await("app", "it is withdrawn", func(s *v1alpha1.ModuleSource) bool { return s.Status.Artifact == nil })
		says := []string{digest, "denyDigests"}
		w.expect(obj, expectation{conditions: notPolled(withdrawn("DigestDenied"), "RegistryUnavailable"), observed: at("1.0.0", digest),
			says: map[string][]string{"Verified": says, "ArtifactInStorage": says}})
		w.gone(url)
		up(t, w.registry)
		w.expect(w.poll("app"), expectation{conditions: withdrawn("DigestDenied"), observed: at("1.0.0", digest)})
		next := w.release("app", "1.0.1", format)
		w.poll("app")
		w.expect(w.ready("app"), w.released("1.0.1", next))
	})
}

// What is denied goes at once, also while something else that spec.verify names
// cannot be used, and nothing could be judged.
func TestStoryDigestIsDeniedWithoutTrust(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.release("app", "1.0.0", "bundle")
	w.change(secret("keys", map[string]string{"cosign.pub": string(w.key.PublicPEM())}))
	w.apply("app", w.spec("app", trusts(bySecret("release-key", "keys"))))
	url := w.ready("app").Status.Artifact.URL
	w.delete(secret("keys", nil))
	w.awaitCondition("app", "Verified", "Unknown/TrustUnavailable")
	w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Verify.DenyDigests = []string{digest} })
	obj := w.await("app", "it is withdrawn", func(s *v1alpha1.ModuleSource) bool { return s.Status.Artifact == nil })
	wantConditions(t, obj, map[string]string{"Verified": "Unknown/TrustUnavailable", "ArtifactInStorage": "False/ArtifactWithdrawn"})
	if found := message(obj, "ArtifactInStorage"); !strings.Contains(found, "denyDigests") {
		t.Errorf("expected to be told why, found %q", found)
	}
	w.gone(url)
}

// An identity that was stolen at a known time: what it signed before stays, what
// it signed since is withdrawn.
func TestStoryIdentityIsStolen(t *testing.T) {
	t.Parallel()
	public, _ := sigstores(t)
	for _, format := range []string{"cosign", "bundle"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{options: rootFile(t, public.TrustedRoot())})
			theft := time.Now().Add(-time.Hour).Truncate(time.Second)
			for name, at := range map[string]time.Time{"before": theft.Add(-time.Hour), "since": theft.Add(time.Minute)} {
				digest := w.push(name, "1.0.0", versionFile("1.0.0"))
				w.signAt(public, ciRelease, name, digest, format, at)
				w.apply(name, w.spec(name, trusting(by("ci", ciRelease))))
				w.ready(name)
			}
			w.registry.Down()
			until := func(s *v1alpha1.ModuleSourceSpec) {
				s.Verify.Authorities[0].NotAfter = theft.UTC().Format(time.RFC3339)
			}
			before := w.get("before").Status
			w.edit("before", until)
			w.edit("since", until)
			obj := w.await("since", "it is withdrawn", func(s *v1alpha1.ModuleSource) bool { return s.Status.Artifact == nil })
			if found := is(obj, "Verified"); found != "False/TimeMismatch" {
				t.Errorf("expected TimeMismatch, found\n%s", describe(obj))
			}
			kept := w.settled("before")
			if kept.Status.Artifact == nil || kept.Status.Artifact.Digest != before.Artifact.Digest || kept.Status.Verification.PolicyHash == before.Verification.PolicyHash {
				t.Errorf("expected the same artifact with new evidence, found\n%s", describe(kept))
			}
			wantConditions(t, kept, isVerified)
		})
	}
}

// signAt signs as a certificate's holder would have at a time.
func (w *world) signAt(s *sigstore.Sigstore, who sigstore.Identity, repo, digest, format string, at time.Time) {
	w.t.Helper()
	signer, err := s.Issue(who, sigstore.CertificateOptions{NotBefore: at.Add(-time.Minute)})
	if err != nil {
		w.t.Fatal(err)
	}
	request := sigstore.Request{Digest: digest, Format: sigstore.Format(format), Log: sigstore.Rekor1, LogTime: at}
	if format == "bundle" {
		request.Log, request.Timestamp, request.TimestampTime = sigstore.Rekor2, true, at
	}
	signed, err := s.Sign(signer, request)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := signed.Attach(background, w.repo(repo)+"@"+digest); err != nil {
		w.t.Fatal(err)
	}
}
