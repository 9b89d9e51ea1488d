package story

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/signing"
)

// The signer of what is published is not trusted any more: it is withdrawn,
// whether the registry talks or not.
func TestStorySignerIsDropped(t *testing.T) {
	t.Parallel()
	for _, down := range []string{"registry up", "registry down"} {
		t.Run(down, func(t *testing.T) {
			inEachFormat(t, func(t *testing.T, w *world, format string) {
				digest := w.release("app", "1.0.0", format)
				w.apply("app", w.spec("app", versioned("1.0.0")))
				before := w.ready("app")
				if down == "registry down" {
					w.registry.Down()
				}
				other := newKey(t, signing.ECDSAP256)
				w.edit("app", trusts(inline("release-key", other)))

				says := []string{digest, fingerprint(other), "no trusted key verifies"}
				want := expectation{conditions: withdrawn("KeyMismatch"), observed: at("1.0.0", digest), says: map[string][]string{
					"Verified": says, "ArtifactInStorage": append(says, "withdrawn"), "Ready": says,
				}}
				if down == "registry down" {
					want.conditions = notPolled(want.conditions, "RegistryUnavailable")
				}
				w.expect(w.settled("app"), want)
				w.gone(before.Status.Artifact.URL)
				w.awaitFiles("nothing is there", nothing)
				w.expect(w.again("app"), want)
				w.told(w.tells("app", "Normal SignatureVerified", "Warning ArtifactWithdrawn"), append(says, at("1.0.0", digest))...)
			})
		})
	}
}

// A threshold that is raised beyond the signers of what is published withdraws
// it, too.
func TestStoryThresholdIsRaised(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.release("app", "1.0.0", "bundle")
	both := trusts(inline("release-key", w.key), inline("review-key", newKey(t, signing.ECDSAP256)))
	w.apply("app", w.spec("app", both))
	before := w.ready("app")
	w.expect(before, w.released("1.0.0", digest))
	w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { *s.Verify.Threshold = 2 })
	w.expect(w.settled("app"), expectation{conditions: withdrawn("ThresholdNotMet"), observed: at("1.0.0", digest)})
	w.gone(before.Status.Artifact.URL)
	w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { *s.Verify.Threshold = 1 })
	w.expect(w.settled("app"), w.released("1.0.0", digest))
	w.tells("app", "Normal SignatureVerified", "Warning ArtifactWithdrawn", "Normal SignatureVerified")
}

// Another policy that trusts the signer too: the same archive, new evidence, and
// nobody is asked.
func TestStorySignerIsStillTrusted(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		digest := w.release("app", "1.0.0", format)
		w.apply("app", w.spec("app", versioned("1.0.0")))
		before := w.ready("app")
		w.registry.Down()
		w.registry.Reset()
		w.edit("app", trusts(inline("review-key", newKey(t, signing.Ed25519)), inline("renamed-key", newKey(t, signing.RSA2048), w.key)))

		want := w.released("1.0.0", digest)
		want.signers = []string{signer("renamed-key", format, w.key)}
		want.says = map[string][]string{"Verified": {digest, "renamed-key", fingerprint(w.key)}}
		after := w.settled("app")
		w.expect(after, want)
		w.silent()
		if diff := cmp.Diff(before.Status.Artifact, after.Status.Artifact); diff != "" {
			t.Errorf("artifact (-before +after):\n%s", diff)
		}
		if before.Status.Verification.PolicyHash == after.Status.Verification.PolicyHash || after.Status.Observed.PolicyHash != after.Status.Verification.PolicyHash {
			t.Errorf("expected evidence under the new policy, found %+v, observed %+v, before %+v", after.Status.Verification, after.Status.Observed, before.Status.Verification)
		}
		// The same signer under another name is told once.
		w.told(w.tells("app", "Normal SignatureVerified", "Normal SignatureVerified"), "renamed-key")
	})
}

// A key is replaced: what is published is signed with the new one as well, and
// then the policy changes over. It stays.
func TestStoryKeyRotation(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		digest := w.release("app", "1.0.0", format)
		w.change(secret("keys", map[string]string{"cosign.pub": string(w.key.PublicPEM())}))
		w.apply("app", w.spec("app", trusts(bySecret("release-key", "keys"))))
		before := w.ready("app")

		next := newKey(t, signing.ECDSAP384)
		w.sign("app", digest, format, next)
		w.expect(w.again("app"), w.released("1.0.0", digest))
		w.change(secret("keys", map[string]string{"cosign.pub": string(next.PublicPEM())}))
		want := w.released("1.0.0", digest)
		want.signers = []string{signer("release-key", format, next)}
		after := w.poll("app")
		w.expect(after, want)
		if diff := cmp.Diff(before.Status.Artifact, after.Status.Artifact); diff != "" {
			t.Errorf("artifact (-before +after):\n%s", diff)
		}
		// From now on it stands by the new key alone.
		w.registry.Down()
		w.edit("app", trusts(inline("release-key", newKey(t, signing.ECDSAP256), next)))
		w.expect(w.settled("app"), want)
		w.tells("app", "Normal SignatureVerified", "Normal SignatureVerified", "Normal SignatureVerified")
	})
}

// A revision that was refused is judged again when the policy changes.
func TestStoryRefusedBecomesAcceptable(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		other := newKey(t, signing.ECDSAP256)
		digest := w.push("app", "1.0.0", versionFile("1.0.0"))
		w.sign("app", digest, format, other)
		w.apply("app", w.spec("app", versioned("1.0.0")))
		w.expect(w.settled("app"), expectation{conditions: refused("KeyMismatch"), observed: at("1.0.0", digest)})

		w.edit("app", trusts(inline("release-key", w.key), inline("new-key", other)))
		want := w.released("1.0.0", digest)
		want.signers = []string{signer("new-key", format, other)}
		w.expect(w.settled("app"), want)
		w.tells("app", "Warning KeyMismatch", "Normal SignatureVerified")
	})
}

// The policy changes and the registry does not talk: of a refused revision
// nobody knows what the verdict would be now, whatever was said before.
func TestStoryRefusedUnderAnotherPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.push("app", "1.0.0", nil)
	w.apply("app", w.spec("app", versioned("1.0.0")))
	w.expect(w.settled("app"), expectation{conditions: refused("NoSignature"), observed: at("1.0.0", digest)})
	w.registry.Down()
	w.edit("app", trusts(inline("release-key", newKey(t, signing.ECDSAP256))))
	want := expectation{conditions: unreachable("RegistryUnavailable"), observed: at("1.0.0", digest)}
	w.expect(w.settled("app"), want)
	w.expect(w.again("app"), want)
	// Back again: the verdict of before is not known any more.
	w.edit("app", trusts(inline("release-key", w.key)))
	w.expect(w.settled("app"), want)
	up(t, w.registry)
	w.expect(w.poll("app"), expectation{conditions: refused("NoSignature"), observed: at("1.0.0", digest)})
}

// The signatures beside an archive are untrusted: whoever changes them on disk,
// and the digest over them, gains nothing, and loses the artifact.
func TestStoryKeptSignaturesAreUntrusted(t *testing.T) {
	t.Parallel()
	w := durable(t, settings{})
	w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", nil))
	before := w.ready("app")
	w.heard("app", 1)
	w.stopController()
	overwrite(t, w, ".json", func(b []byte) []byte {
		var kept struct {
			SHA256     string          `json:"sha256"`
			Signatures json.RawMessage `json:"signatures"`
		}
		if err := json.Unmarshal(b, &kept); err != nil {
			t.Fatal(err)
		}
		kept.Signatures = bytes.Replace(kept.Signatures, []byte(`"format":"bundle"`), []byte(`"format":"cosign"`), 1)
		kept.SHA256 = strings.TrimPrefix(sha256Of(kept.Signatures), "sha256:")
		b, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	w.registry.Down()
	w.start()
	// Nobody looks at them while the policy is the same.
	w.await("app", "it is polled", func(s *v1alpha1.ModuleSource) bool { return is(s, "FetchFailed") != "" })
	w.fetch(w.get("app"))
	w.edit("app", trusts(inline("release-key", w.key, newKey(t, signing.ECDSAP256))))
	obj := w.settled("app")
	if v := is(obj, "Verified"); !strings.HasPrefix(v, "False/") || obj.Status.Artifact != nil {
		t.Errorf("expected the artifact withdrawn, found\n%s", describe(obj))
	}
	w.gone(before.Status.Artifact.URL)
	up(t, w.registry)
	if obj := w.ready("app"); obj.Status.Artifact.Digest != before.Status.Artifact.Digest {
		t.Errorf("expected the archive %s again, found %s", before.Status.Artifact.Digest, obj.Status.Artifact.Digest)
	}
}
