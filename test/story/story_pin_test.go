package story

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/signing"
)

// A digest alone is what is pulled; once it is published there is nothing to
// ask.
func TestStoryDigestAlone(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		digest := w.release("app", "1.0.0", format)
		w.release("app", "1.1.0", format)
		w.apply("app", w.spec("app", pinned(digest)))
		want := expectation{
			conditions: published(), observed: digest, artifact: digest, files: withVendor(versionFile("1.0.0")),
			signers: []string{signer("release-key", format, w.key)},
		}
		w.expect(w.settled("app"), want)
		w.registry.Reset()
		w.expect(w.again("app"), want)
		w.silent()

		unsigned := w.push("app", "1.2.0", nil)
		w.edit("app", pinned(unsigned))
		want.conditions, want.observed = keeping(refused("NoSignature")), unsigned
		w.expect(w.settled("app"), want)
		w.expect(w.again("app"), want)

		absent := "sha256:" + strings.Repeat("0", 64)
		w.edit("app", pinned(absent))
		want.conditions = notPolled(want.conditions, "VersionNotFound")
		want.conditions["Ready"] = "False/NoSignature"
		want.says = map[string][]string{"FetchFailed": {w.repo("app"), absent}}
		w.expect(w.settled("app"), want)
		w.tells("app", "Normal SignatureVerified", "Warning NoSignature")
	})
}

// A version or tag together with a digest must resolve to exactly it, whatever
// was published before.
func TestStoryPin(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]func(*v1alpha1.ModuleSourceSpec){
		"version": versioned("1.0.0"),
		"range":   versioned("~1.0"),
		"tag":     func(s *v1alpha1.ModuleSourceSpec) { s.Version, s.Tag = "", "1.0.0" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachRegistry(t, func(t *testing.T, w *world) {
				first := w.release("app", "1.0.0", "bundle")
				other := w.release("app", "1.1.0", "bundle")
				to := func(digest string) func(*v1alpha1.ModuleSourceSpec) {
					return func(s *v1alpha1.ModuleSourceSpec) { version(s); s.Digest = digest }
				}
				w.apply("right", w.spec("app", to(first)))
				w.expect(w.settled("right"), w.released("1.0.0", first))

				says := []string{"1.0.0", "expected the pinned digest " + other, "found " + first}
				w.apply("wrong", w.spec("app", to(other)))
				want := expectation{conditions: refused("DigestMismatch"), observed: at("1.0.0", first), says: map[string][]string{"Verified": says, "Stalled": says, "Ready": says}}
				w.expect(w.settled("wrong"), want)
				w.expect(w.again("wrong"), want)
				w.told(w.tells("wrong", "Warning DigestMismatch"), says...)

				// A pin that is added to what is published already.
				w.edit("right", to(other))
				pinnedElsewhere := w.released("1.0.0", first)
				pinnedElsewhere.conditions, pinnedElsewhere.says = keeping(refused("DigestMismatch")), want.says
				w.expect(w.settled("right"), pinnedElsewhere)
				w.expect(w.again("right"), pinnedElsewhere)
				w.registry.Down()
				unreached := pinnedElsewhere
				unreached.conditions = notPolled(pinnedElsewhere.conditions, "RegistryUnavailable")
				unreached.says = map[string][]string{"Verified": says, "Ready": says}
				w.expect(w.poll("right"), unreached)
				up(t, w.registry)
				w.edit("right", to(first))
				w.expect(w.settled("right"), w.released("1.0.0", first))

				// The version is pushed again: the pin holds what was.
				second := w.push("app", "1.0.0", nil)
				w.sign("app", second, "bundle", w.key)
				moved := w.released("1.0.0", first)
				moved.conditions, moved.observed = keeping(refused("DigestMismatch")), at("1.0.0", second)
				w.expect(w.poll("right"), moved)
				w.expect(w.again("right"), moved)
				w.tells("right", "Normal SignatureVerified", "Warning DigestMismatch", "Normal SignatureVerified", "Warning DigestMismatch")
			})
		})
	}
}

// More signatures than are judged: not judged, whoever made them.
func TestStoryTooManySignatures(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, w *world) {
		digest := w.push("app", "1.0.0", nil)
		reference := w.repo("app") + "@" + digest
		other := newKey(t, signing.ECDSAP256)
		var others []signing.Signature
		for range 127 {
			s, err := signing.NewSignature(reference, other)
			if err != nil {
				t.Fatal(err)
			}
			others = append(others, s)
		}
		if err := signing.AttachCosign(background, reference, others); err != nil {
			t.Fatal(err)
		}
		w.sign("app", digest, "bundle", w.key)
		w.apply("most", w.spec("app", versioned("1.0.0")))
		accepted := expectation{
			conditions: published(), observed: at("1.0.0", digest), artifact: at("1.0.0", digest),
			signers: []string{signer("release-key", "bundle", w.key)},
		}
		w.expect(w.settled("most"), accepted)

		w.sign("app", digest, "cosign", w.key)
		says := []string{digest, "found more than 128 signatures"}
		w.apply("more", w.spec("app", versioned("1.0.0")))
		want := expectation{
			conditions: map[string]string{
				"Verified": "Unknown/TooManySignatures", "ArtifactInStorage": "False/NoArtifact", "Reconciling": "True/Retrying", "Ready": "Unknown/TooManySignatures",
			},
			observed: at("1.0.0", digest), says: map[string][]string{"Verified": says, "Ready": says},
		}
		w.expect(w.settled("more"), want)
		w.expect(w.again("more"), want)
		w.told(w.tells("more", "Warning TooManySignatures"), says...)
		// What was judged stays judged.
		w.expect(w.again("most"), accepted)
		w.tells("most", "Normal SignatureVerified")
	})
}

// Edits of what is asked for take effect at once.
func TestStorySpecIsEdited(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, w *world) {
		first := w.release("app", "1.0.0", "cosign")
		second := w.release("app", "1.1.0", "bundle")
		third := w.release("moved/app", "1.1.0", "cosign")
		if second != third {
			t.Fatalf("expected one module in both places, found %s and %s", second, third)
		}
		unsigned := w.push("unsigned/app", "1.1.0", nil)
		w.apply("app", w.spec("app", nil))
		w.expect(w.settled("app"), w.released("1.1.0", second))

		w.edit("app", versioned("1.0.0"))
		w.expect(w.settled("app"), w.released("1.0.0", first))
		w.edit("app", versioned("~1.1"))
		w.expect(w.settled("app"), w.released("1.1.0", second))

		// The same content from elsewhere: nothing is published again.
		archive := w.get("app").Status.Artifact
		w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.URL = "oci://" + w.repo("moved/app") })
		w.expect(w.settled("app"), w.released("1.1.0", third))
		if diff := cmp.Diff(archive, w.get("app").Status.Artifact); diff != "" {
			t.Errorf("artifact (-before +after):\n%s", diff)
		}

		w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.URL = "oci://" + w.repo("unsigned/app") })
		kept := w.released("1.1.0", second)
		kept.conditions, kept.observed = keeping(refused("NoSignature")), at("1.1.0", unsigned)
		w.expect(w.settled("app"), kept)
		w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.URL = "oci://" + w.repo("app") })
		w.expect(w.settled("app"), w.released("1.1.0", second))

		// A tag for the same digest is another revision with the same archive.
		stable := w.pushAs("app", "stable", module.Options{Version: "1.1.0", Files: versionFile("1.1.0")})
		w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Version, s.Tag = "", "stable" })
		if stable != second {
			t.Fatalf("expected the digest %s, found %s", second, stable)
		}
		w.expect(w.settled("app"), expectation{conditions: published(), observed: at("stable", second), artifact: at("stable", second), files: withVendor(versionFile("1.1.0"))})
		if found := w.get("app").Status.Artifact; found.Digest != archive.Digest || found.URL != archive.URL {
			t.Errorf("expected the archive %s, found %+v", archive.Digest, found)
		}
		ok := "Normal SignatureVerified"
		w.tells("app", ok, ok, ok, "Warning NoSignature", ok, ok)
	})
}

// Messages are bounded, and so are the notes of events, of which the API server
// takes no more than 1024 bytes.
func TestStoryLongMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.push("app", "1.0.0", nil)
	var authorities []v1alpha1.Authority
	var all []*signing.Key
	for i := range 16 {
		name := fmt.Sprintf("%s-%02d", strings.Repeat("a", 60), i)
		all = append(all, newKey(t, signing.ECDSAP256))
		authorities = append(authorities, inline(name, all[i]))
	}
	for _, key := range all[:15] {
		w.sign("app", digest, "cosign", key)
	}
	w.apply("app", w.spec("app", func(s *v1alpha1.ModuleSourceSpec) {
		threshold := int32(16)
		s.Verify.Authorities, s.Verify.Threshold = authorities, &threshold
	}))
	w.expect(w.settled("app"), expectation{
		conditions: refused("ThresholdNotMet"), observed: at("1.0.0", digest),
		says: map[string][]string{"Verified": {digest, "expected distinct signers for 16 authorities of 16, found 15"}},
	})
	w.again("app")
	w.sign("app", digest, "cosign", all[15])
	w.expect(w.poll("app"), expectation{conditions: published(), observed: at("1.0.0", digest), artifact: at("1.0.0", digest)})
	events := w.tells("app", "Warning ThresholdNotMet", "Normal SignatureVerified")
	w.told(events[:1], digest, "found 15")
	w.told(events, at("1.0.0", digest), authorities[0].Name)
}
