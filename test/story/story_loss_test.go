package story

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// losses are ways to lose what is stored while no controller runs.
var losses = map[string]func(t *testing.T, w *world){
	"everything": func(t *testing.T, w *world) { remove(t, w, "") },
	"archive":    func(t *testing.T, w *world) { remove(t, w, ".tar.gz") },
	"signatures": func(t *testing.T, w *world) { remove(t, w, ".json") },
	"a bit of the archive": func(t *testing.T, w *world) {
		overwrite(t, w, ".tar.gz", func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	},
	"the end of the archive": func(t *testing.T, w *world) {
		overwrite(t, w, ".tar.gz", func(b []byte) []byte { return b[:len(b)-1] })
	},
	"signatures overwritten": func(t *testing.T, w *world) {
		overwrite(t, w, ".json", func([]byte) []byte { return []byte("{}") })
	},
}

func remove(t *testing.T, w *world, suffix string) {
	t.Helper()
	for _, file := range w.stored() {
		if strings.HasSuffix(file, suffix) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func overwrite(t *testing.T, w *world, suffix string, change func([]byte) []byte) {
	t.Helper()
	for _, file := range w.stored() {
		if !strings.HasSuffix(file, suffix) {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, change(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// missing are the conditions of a published artifact that is not in storage,
// while the registry does not talk.
func missing(reason string) map[string]string {
	return but(notPolled(published(), reason), "ArtifactInStorage", "False/ArtifactMissing")
}

// What is lost or damaged is not served, and made again from the registry, byte
// for byte, even when its tag is gone.
func TestStoryStorageIsLost(t *testing.T) {
	t.Parallel()
	for loss, lose := range losses {
		t.Run(loss, func(t *testing.T) {
			t.Parallel()
			w := durable(t, settings{})
			digest := w.release("app", "1.0.0", "bundle")
			w.apply("app", w.spec("app", versioned("1.x")))
			before := w.ready("app")
			w.heard("app", 1)
			w.stopController()
			lose(t, w)
			w.registry.Down()
			w.start()

			obj := w.await("app", "the loss is noticed", func(s *v1alpha1.ModuleSource) bool { return is(s, "FetchFailed") != "" })
			want := w.released("1.0.0", digest)
			// Without its signatures it is served on, under the policy that it was
			// judged by.
			want.conditions = notPolled(published(), "RegistryUnavailable")
			whole := loss == "signatures" || loss == "signatures overwritten"
			if !whole {
				want.conditions = missing("RegistryUnavailable")
				want.says = map[string][]string{"ArtifactInStorage": {at("1.0.0", digest), "is not in storage"}}
			}
			w.expect(obj, want)
			w.expect(w.again("app"), want)
			if !whole {
				w.toCome(before.Status.Artifact.URL)
			}

			up(t, w.registry)
			after := w.ready("app")
			w.expect(after, w.released("1.0.0", digest))
			if diff := cmp.Diff(before.Status.Artifact, after.Status.Artifact); diff != "" {
				t.Errorf("artifact (-before +after):\n%s", diff)
			}
			w.tells("app", "Normal SignatureVerified", "Warning RegistryUnavailable", "Normal SignatureVerified")
		})
	}
}

// What was published is made again even where the registry offers something
// else by now that is refused.
func TestStoryStorageIsLostUnderRefusal(t *testing.T) {
	t.Parallel()
	eachDurable(t, func(t *testing.T, w *world) {
		first := w.release("app", "1.0.0", "bundle")
		w.apply("app", w.spec("app", nil))
		before := w.ready("app")
		second := w.push("app", "1.1.0", nil)
		want := w.released("1.0.0", first)
		want.conditions, want.observed = keeping(refused("NoSignature")), at("1.1.0", second)
		w.expect(w.poll("app"), want)
		w.heard("app", 2)
		w.stopController()
		remove(t, w, "")
		w.start()
		w.awaitFiles("it is made again", func(files []string) bool { return len(files) == 2 })
		w.expect(w.again("app"), want)
		if after := w.get("app"); after.Status.Artifact.Digest != before.Status.Artifact.Digest {
			t.Errorf("expected the archive %s, found %s", before.Status.Artifact.Digest, after.Status.Artifact.Digest)
		}
		w.tells("app", "Normal SignatureVerified", "Warning NoSignature")
	})
}

// A registry that lost its content, too, says nothing about signatures: trust
// is not withdrawn.
func TestStoryStorageAndRegistryAreLost(t *testing.T) {
	t.Parallel()
	eachDurable(t, func(t *testing.T, w *world) {
		digest := w.release("app", "1.0.0", "cosign")
		w.apply("app", w.spec("app", versioned("1.0.0")))
		w.ready("app")
		w.heard("app", 1)
		w.stopController()
		remove(t, w, "")
		w.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.URL.Path == "/v2/" {
				next.ServeHTTP(rw, r)
				return
			}
			registry.Respond(404, nil, nil)(rw, r, next)
		})
		w.start()
		obj := w.await("app", "the loss is noticed", func(s *v1alpha1.ModuleSource) bool { return is(s, "FetchFailed") != "" })
		want := w.released("1.0.0", digest)
		want.conditions = missing("RepositoryNotFound")
		w.expect(obj, want)
		w.expect(w.again("app"), want)

		w.registry.Intercept(nil)
		w.expect(w.poll("app"), w.released("1.0.0", digest))
		w.tells("app", "Normal SignatureVerified", "Warning RepositoryNotFound", "Normal SignatureVerified")
	})
}

// What was lost while suspended is made again when it is resumed, and only if
// it is still trusted.
func TestStoryStorageIsLostWhileSuspended(t *testing.T) {
	t.Parallel()
	w := durable(t, settings{})
	digest := w.release("app", "1.0.0", "cosign")
	w.apply("app", w.spec("app", nil))
	before := w.ready("app")
	w.edit("app", suspend)
	w.settled("app")
	w.heard("app", 1)
	w.stopController()
	remove(t, w, "")
	w.registry.Reset()
	w.start()
	want := w.released("1.0.0", digest)
	want.conditions = but(published(), "ArtifactInStorage", "False/ArtifactMissing", "Ready", "False/ArtifactMissing")
	w.expect(w.poll("app"), want)
	w.toCome(before.Status.Artifact.URL)
	w.silent()

	w.edit("app", resume)
	w.expect(w.settled("app"), w.released("1.0.0", digest))

	w.heard("app", 3)
	w.stopController()
	remove(t, w, "")
	w.edit("app", trusts(inline("release-key", newKey(t, signing.ECDSAP256))))
	w.start()
	w.expect(w.settled("app"), expectation{conditions: withdrawn("KeyMismatch"), observed: at("1.0.0", digest)})
	w.awaitFiles("nothing is there", nothing)
	w.tells("app", "Normal SignatureVerified", "Warning ArtifactMissing", "Normal SignatureVerified", "Warning ArtifactWithdrawn")
}

// toCome demands that an archive is not there, and may be asked for again.
func (w *world) toCome(url string) {
	w.t.Helper()
	if code, _ := download(w.t, url); code != http.StatusServiceUnavailable {
		w.t.Errorf("%s: expected 503, found %d", url, code)
	}
}
