package story

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/signing"
)

// awaiting are the conditions of a new digest that is not signed yet, when
// nothing was published before.
func awaiting() map[string]string {
	return map[string]string{
		"Verified": "Unknown/AwaitingSignature", "ArtifactInStorage": "False/NoArtifact", "Reconciling": "True/Retrying", "Ready": "Unknown/AwaitingSignature",
	}
}

// grace gives a new digest so long to be signed.
func grace(d time.Duration, more ...func(*v1alpha1.ModuleSourceSpec)) func(*v1alpha1.ModuleSourceSpec) {
	return func(s *v1alpha1.ModuleSourceSpec) {
		s.Verify.SignatureGracePeriod = &metav1.Duration{Duration: d}
		for _, edit := range more {
			edit(s)
		}
	}
}

// A normal release: pushed, and signed a little later. Nobody is warned, and
// nobody has to ask.
func TestStoryPushThenSign(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		digest := w.push("app", "1.0.0", versionFile("1.0.0"))
		w.apply("app", w.spec("app", grace(time.Hour, versioned("1.x"))))
		says := []string{digest, "found none", "spec.verify.signatureGracePeriod"}
		want := expectation{conditions: awaiting(), observed: at("1.0.0", digest), says: map[string][]string{"Verified": says, "Ready": says}}
		w.expect(w.settled("app"), want)
		w.expect(w.again("app"), want)
		w.sign("app", digest, format, w.key)
		w.expect(w.ready("app"), w.released("1.0.0", digest))

		// The next one, while this one is published.
		next := w.push("app", "1.1.0", versionFile("1.1.0"))
		want = w.released("1.0.0", digest)
		want.conditions, want.observed = keeping(awaiting()), at("1.1.0", next)
		w.expect(w.poll("app"), want)
		w.sign("app", next, format, w.key)
		w.expect(w.ready("app"), w.released("1.1.0", next))
		w.tells("app", "Normal AwaitingSignature", "Normal SignatureVerified", "Normal AwaitingSignature", "Normal SignatureVerified")
	})
}

// Without a signature when its time is over, it is refused, and a restart does
// not begin that time anew.
func TestStoryNeverSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.push("app", "1.0.0", nil)
	w.apply("app", w.spec("app", grace(time.Hour)))
	seen := w.await("app", "a signature is awaited", func(s *v1alpha1.ModuleSource) bool {
		return is(s, "Verified") == "Unknown/AwaitingSignature"
	}).Status.Observed.FirstSeenAt
	w.heard("app", 1)
	w.stopController()
	w.start()
	again := w.poll("app")
	w.expect(again, expectation{conditions: awaiting(), observed: at("1.0.0", digest)})
	if found := again.Status.Observed.FirstSeenAt; !found.Equal(&seen) {
		t.Errorf("expected that it was first seen at %s, found %s", seen, found)
	}
	w.edit("app", grace(time.Second))
	w.expect(w.await("app", "its time is over", func(s *v1alpha1.ModuleSource) bool { return is(s, "Verified") == "False/NoSignature" }),
		expectation{conditions: refused("NoSignature"), observed: at("1.0.0", digest)})
	w.expect(w.again("app"), expectation{conditions: refused("NoSignature"), observed: at("1.0.0", digest)})
	w.tells("app", "Normal AwaitingSignature", "Warning NoSignature")
}

// The time for a signature ends without anybody asking.
func TestStoryGraceEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.push("app", "1.0.0", nil)
	w.apply("app", w.spec("app", grace(4*time.Second)))
	w.expect(w.settled("app"), expectation{conditions: awaiting(), observed: at("1.0.0", digest)})
	w.expect(w.await("app", "its time is over", func(s *v1alpha1.ModuleSource) bool { return is(s, "Verified") == "False/NoSignature" }),
		expectation{conditions: refused("NoSignature"), observed: at("1.0.0", digest)})
}

// Only the lack of any signature is waited for: one by somebody else is a
// refusal at once.
func TestStoryWronglySignedIsNotAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.push("app", "1.0.0", nil)
	w.sign("app", digest, "bundle", newKey(t, signing.Ed25519))
	w.apply("app", w.spec("app", grace(time.Hour)))
	w.expect(w.settled("app"), expectation{conditions: refused("KeyMismatch"), observed: at("1.0.0", digest)})
}

// annotate sets an annotation of a ModuleSource.
func (w *world) annotate(name, key, value string) {
	w.t.Helper()
	obj := w.get(name)
	before := obj.DeepCopy()
	metav1.SetMetaDataAnnotation(&obj.ObjectMeta, key, value)
	if err := kube.Patch(background, obj, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// accept annotates a ModuleSource with a digest.
func (w *world) accept(name, digest string) {
	w.annotate(name, v1alpha1.AcceptDigestAnnotation, digest)
}

// move pushes another module of the same version under its tag, and signs it.
func (w *world) move(repo, version string) string {
	w.t.Helper()
	digest := w.pushAs(repo, version, module.Options{Version: version, Files: map[string]string{"moved.cue": "package main\n"}})
	w.sign(repo, digest, "bundle", w.key)
	return digest
}

// A version that was verified at one digest and now names another is refused,
// however well it is signed. The one that was verified stays, through a restart
// and a lost disk, until a person accepts the other by its digest.
func TestStoryVersionIsMoved(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.0.0", "1.x"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			eachRegistry(t, func(t *testing.T, w *world) {
				digest := w.release("app", "1.0.0", "bundle")
				w.apply("app", w.spec("app", versioned(version)))
				w.ready("app")
				moved := w.move("app", "1.0.0")
				says := []string{"1.0.0", digest, moved, "accept-digest"}
				want := w.released("1.0.0", digest)
				want.conditions, want.observed = keeping(refused("VersionMutated")), at("1.0.0", moved)
				want.says = map[string][]string{"Verified": says, "Ready": says, "Stalled": says}
				w.expect(w.poll("app"), want)
				w.expect(w.again("app"), want)

				w.heard("app", 2)
				w.stopController()
				w.emptyStorage()
				w.start()
				w.expect(w.poll("app"), want)

				w.accept("app", digest)
				w.expect(w.poll("app"), want)
				w.accept("app", moved)
				after := w.await("app", "the other one is published", func(s *v1alpha1.ModuleSource) bool {
					return s.Status.Artifact.Revision == at("1.0.0", moved)
				})
				wantConditions(t, after, published())

				// And back: what was accepted is what is known now.
				w.tag("app", "1.0.0", digest)
				if found := is(w.poll("app"), "Verified"); found != "False/VersionMutated" {
					t.Errorf("expected that the tag may not move back, found %s", found)
				}
				w.tells("app", "Normal SignatureVerified", "Warning VersionMutated", "Normal SignatureVerified", "Warning VersionMutated")
			})
		})
	}
}

// emptyStorage loses the volume.
func (w *world) emptyStorage() {
	w.t.Helper()
	if err := errors.Join(os.RemoveAll(w.storage), os.Mkdir(w.storage, 0o700)); err != nil {
		w.t.Fatal(err)
	}
}

// tag puts a tag on a digest of a repository.
func (w *world) tag(repo, tag, digest string) {
	w.t.Helper()
	from, err := name.ParseReference(w.repo(repo)+"@"+digest, name.Insecure)
	if err != nil {
		w.t.Fatal(err)
	}
	descriptor, err := remote.Get(from)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := remote.Tag(from.Context().Tag(tag), descriptor); err != nil {
		w.t.Fatal(err)
	}
}

// Where a version may move, it moves: a tag by its nature, a version where the
// spec says so, and a pin names its digest itself. Another repository has
// versions of its own.
func TestStoryVersionMayMove(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		spec  func(*v1alpha1.ModuleSourceSpec)
		after func(moved string) func(*v1alpha1.ModuleSourceSpec)
	}{
		"tag":     {spec: func(s *v1alpha1.ModuleSourceSpec) { s.Tag = "1.0.0" }},
		"mutable": {spec: func(s *v1alpha1.ModuleSourceSpec) { s.Version, s.ImmutableVersions = "1.0.0", ptr.To(false) }},
		"mutable later": {spec: versioned("1.0.0"), after: func(string) func(*v1alpha1.ModuleSourceSpec) {
			return func(s *v1alpha1.ModuleSourceSpec) { s.ImmutableVersions = ptr.To(false) }
		}},
		"pin": {spec: versioned("1.0.0"), after: func(moved string) func(*v1alpha1.ModuleSourceSpec) {
			return func(s *v1alpha1.ModuleSourceSpec) { s.Digest = moved }
		}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{})
			w.release("app", "1.0.0", "bundle")
			w.apply("app", w.spec("app", row.spec))
			w.ready("app")
			moved := w.move("app", "1.0.0")
			if row.after != nil {
				w.edit("app", row.after(moved))
			} else {
				w.poll("app")
			}
			w.await("app", "the other one is published", func(s *v1alpha1.ModuleSource) bool {
				return s.Status.Artifact.Revision == at("1.0.0", moved) && is(s, "Ready") == "True/SignatureVerified"
			})
		})
	}
	t.Run("another repository", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, settings{})
		digest := w.release("app", "1.0.0", "bundle")
		other := w.move("fork", "1.0.0")
		w.apply("app", w.spec("app", versioned("1.0.0")))
		w.ready("app")
		w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.URL = "oci://" + w.repo("fork") })
		w.await("app", "the other one is published", func(s *v1alpha1.ModuleSource) bool { return s.Status.Artifact.Revision == at("1.0.0", other) })
		// The way back is held against what was verified there.
		moved := w.move("app", "1.0.0")
		w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.URL = "oci://" + w.repo("app") })
		after := w.settled("app")
		if is(after, "Verified") != "False/VersionMutated" || after.Status.Observed.Digest != moved {
			t.Errorf("expected that %s was verified before, found\n%s", digest, describe(after))
		}
	})
}

// untag removes a tag of a repository.
func (w *world) untag(repo, tag string) {
	w.t.Helper()
	reference, err := name.ParseReference(w.repo(repo)+":"+tag, name.Insecure)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := remote.Delete(reference); err != nil {
		w.t.Fatal(err)
	}
}

// A range whose highest match falls below what is published, because a tag was
// deleted, is refused, and what is published stays. Whoever edits the spec, or
// allows it, gets what it says.
func TestStoryVersionFalls(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		version string
		edit    func(*v1alpha1.ModuleSourceSpec) // that takes the lower one
	}{
		"allowed":       {"1.x", func(s *v1alpha1.ModuleSourceSpec) { s.AllowDowngrade = true }},
		"another range": {"1.x", versioned("1.0.x")},
		"no version":    {"", versioned(">=1.0.0")},
		"a filter":      {"1.x", func(s *v1alpha1.ModuleSourceSpec) { s.VersionFilter = "1[.].*" }},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{})
			lower := w.release("app", "1.0.0", "bundle")
			higher := w.release("app", "1.1.0", "bundle")
			w.apply("app", w.spec("app", versioned(row.version)))
			w.expect(w.ready("app"), w.released("1.1.0", higher))
			w.untag("app", "1.1.0")
			says := []string{at("1.0.0", lower), "1.1.0", "allowDowngrade"}
			want := w.released("1.1.0", higher)
			want.conditions, want.observed = keeping(refused("VersionRollback")), at("1.0.0", lower)
			want.says = map[string][]string{"Verified": says}
			w.expect(w.poll("app"), want)
			w.expect(w.again("app"), want)
			w.heard("app", 2)
			w.stopController()
			w.start()
			w.expect(w.poll("app"), want)
			w.edit("app", row.edit)
			w.expect(w.ready("app"), w.released("1.0.0", lower))
			w.tells("app", "Normal SignatureVerified", "Warning VersionRollback", "Normal SignatureVerified")
		})
	}
}

// What is refused has not been published: that its tag is deleted is no fall.
func TestStoryRefusedVersionIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", versioned("1.x")))
	w.ready("app")
	w.push("app", "1.1.0", versionFile("1.1.0"))
	if found := is(w.poll("app"), "Verified"); found != "False/NoSignature" {
		t.Errorf("expected that 1.1.0 is refused, found %s", found)
	}
	w.untag("app", "1.1.0")
	w.poll("app")
	w.expect(w.ready("app"), w.released("1.0.0", digest))
}

// The record of versions is bounded, and what leaves it is the oldest.
func TestStoryVersionsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	w.apply("app", w.spec("app", versioned("1.x")))
	const most = v1alpha1.VerifiedVersionsLimit
	for i := range most + 2 {
		w.release("app", fmt.Sprintf("1.0.%d", i), "bundle")
		w.poll("app")
	}
	all := w.get("app").Status.VerifiedVersions
	has := func(version string) bool {
		return slices.ContainsFunc(all, func(v v1alpha1.VerifiedVersion) bool { return v.Version == version && v.URL == "oci://"+w.repo("app") })
	}
	if len(all) != most || all[0].Version != fmt.Sprintf("1.0.%d", most+1) || !has("1.0.2") || has("1.0.1") {
		t.Errorf("expected the last %d versions, the last first, found %+v", most, all)
	}
}
