package story

import (
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
)

func TestSignedModuleIsPublished(t *testing.T) {
	for _, format := range []string{"cosign", "bundle"} {
		t.Run(format, func(t *testing.T) {
			eachRegistry(t, func(t *testing.T, w *world) {
				digest := w.push("app", "1.0.0", nil)
				w.sign("app", digest, format, w.key)
				w.apply("app", w.spec("app", func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.0.0" }))

				obj := w.settled("app")
				wantConditions(t, obj, map[string]string{
					"Verified": "True/SignatureVerified", "Ready": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished",
					"FetchFailed": "", "Reconciling": "", "Stalled": "",
				})
				if obj.Status.Artifact == nil || obj.Status.Artifact.Revision != "1.0.0@"+digest {
					t.Fatalf("expected the artifact 1.0.0@%s, found %+v", digest, obj.Status.Artifact)
				}
				if code, _ := download(t, obj.Status.Artifact.URL); code != 200 {
					t.Errorf("%s: expected 200, found %d", obj.Status.Artifact.URL, code)
				}
			})
		})
	}
}

func TestUnsignedModuleIsRefused(t *testing.T) {
	eachRegistry(t, func(t *testing.T, w *world) {
		w.push("app", "1.0.0", nil)
		w.apply("app", w.spec("app", func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.0.0" }))
		obj := w.settled("app")
		wantConditions(t, obj, map[string]string{
			"Verified": "False/NoSignature", "Ready": "False/NoSignature", "Stalled": "True/NoSignature", "ArtifactInStorage": "False/NoArtifact",
		})
		if obj.Status.Artifact != nil {
			t.Errorf("expected no artifact, found %+v", obj.Status.Artifact)
		}
	})
}
