package story

import (
	"net/http"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/signing"
)

func suspend(s *v1alpha1.ModuleSourceSpec) { s.Suspend = true }
func resume(s *v1alpha1.ModuleSourceSpec)  { s.Suspend = false }

// progressing are the conditions of a source that was never looked at.
func progressing() map[string]string {
	return map[string]string{"Verified": "Unknown/Progressing", "ArtifactInStorage": "False/NoArtifact", "Ready": "Unknown/Progressing"}
}

// withdrawn are conditions after the published artifact lost its trust.
func withdrawn(reason string) map[string]string {
	return but(refused(reason), "ArtifactInStorage", "False/ArtifactWithdrawn")
}

// silent demands that the registry was not asked since the last look.
func (w *world) silent() {
	w.t.Helper()
	if asked := w.registry.Counts(); len(asked) != 0 {
		w.t.Errorf("expected no request to the registry, found %v", asked)
	}
	w.registry.Reset()
}

// gone demands that an address answers 404.
func (w *world) gone(url string) {
	w.t.Helper()
	if code, _ := download(w.t, url); code != http.StatusNotFound {
		w.t.Errorf("%s: expected 404, found %d", url, code)
	}
}

// A suspended source asks for nothing, even when a person asks for a poll, and
// publishes nothing new; resumed, it does at once.
func TestStorySuspend(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, w *world) {
		first := w.release("app", "1.0.0", "cosign")
		w.apply("app", w.spec("app", versioned("1.x")))
		w.expect(w.ready("app"), w.released("1.0.0", first))

		w.edit("app", suspend)
		w.expect(w.settled("app"), w.released("1.0.0", first))
		second := w.release("app", "1.1.0", "bundle")
		w.registry.Reset()
		w.expect(w.poll("app"), w.released("1.0.0", first))
		w.expect(w.again("app"), w.released("1.0.0", first))
		w.edit("app", versioned(">=1.1.0"))
		w.expect(w.settled("app"), w.released("1.0.0", first))
		w.silent()

		w.edit("app", resume)
		w.expect(w.settled("app"), w.released("1.1.0", second))
		w.tells("app", "Normal SignatureVerified", "Normal SignatureVerified")
	})
}

// Whatever is suspended when its time has come is polled when it is resumed,
// and not an interval later.
func TestStoryResumeAfterRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = true }))
	w.registry.Reset()
	want := expectation{conditions: progressing(), says: map[string][]string{"Verified": {"suspended"}, "Ready": {"suspended"}}}
	w.expect(w.settled("app"), want)
	w.expect(w.again("app"), want)
	w.stopController()
	w.start()
	w.expect(w.again("app"), want)
	w.silent()

	w.edit("app", resume)
	w.expect(w.settled("app"), w.released("1.0.0", digest))
	second := w.release("app", "1.0.1", "bundle")
	w.edit("app", suspend)
	w.settled("app")
	w.edit("app", resume)
	w.expect(w.settled("app"), w.released("1.0.1", second))
	w.tells("app", "Normal SignatureVerified", "Normal SignatureVerified")
}

// Trust that is withdrawn takes effect while suspended, and with the registry
// down: the artifact goes from status and from the server. Trust that is given
// again does not bring it back before somebody resumes it.
func TestStorySuspendedTrustIsWithdrawn(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		other := newKey(t, signing.ECDSAP256)
		digest := w.release("app", "1.0.0", format)
		w.change(secret("keys", map[string]string{"a.pub": string(w.key.PublicPEM()), "b.pub": string(other.PublicPEM())}))
		w.apply("app", w.spec("app", trusts(bySecret("release-key", "keys"))))
		before := w.ready("app")
		w.expect(before, w.released("1.0.0", digest))

		w.edit("app", suspend)
		w.settled("app")
		w.registry.Down()
		w.registry.Reset()
		w.change(secret("keys", map[string]string{"b.pub": string(other.PublicPEM())}))
		want := expectation{
			conditions: withdrawn("KeyMismatch"), observed: at("1.0.0", digest),
			says: map[string][]string{
				"Verified":          {digest, "release-key (key " + fingerprint(other), "no trusted key verifies"},
				"ArtifactInStorage": {"withdrawn", digest},
			},
		}
		w.expect(w.poll("app"), want)
		w.expect(w.again("app"), want)
		w.gone(before.Status.Artifact.URL)
		w.silent()

		w.change(secret("keys", map[string]string{"a.pub": string(w.key.PublicPEM())}))
		w.expect(w.poll("app"), expectation{conditions: but(progressing(), "ArtifactInStorage", "False/ArtifactWithdrawn"), observed: at("1.0.0", digest)})
		w.silent()

		up(t, w.registry)
		w.edit("app", resume)
		w.expect(w.settled("app"), w.released("1.0.0", digest))
		events := w.tells("app", "Normal SignatureVerified", "Warning ArtifactWithdrawn", "Normal SignatureVerified")
		w.told(events[:2], at("1.0.0", digest), "no trusted key verifies")
	})
}
