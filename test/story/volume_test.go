package story

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/test/signing"
)

// whole downloads the artifact of a status and expects it to be what that says.
func (w *world) whole(name string) {
	w.t.Helper()
	obj := w.get(name)
	code, body := download(w.t, obj.Status.Artifact.URL)
	if code != http.StatusOK || obj.Status.Artifact.Digest != sha256Of(body) {
		w.t.Errorf("%s: expected %s, found %d with %d bytes", name, obj.Status.Artifact.Digest, code, len(body))
	}
}

// flip flips a bit in the middle of the files with that suffix.
func flip(t *testing.T, w *world, suffix string) {
	t.Helper()
	overwrite(t, w, suffix, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
}

// A byte that changes under a controller that runs is not served, and the
// artifact is made again at once: nobody has to ask for a poll.
func TestStoryArchiveChangesWhileServed(t *testing.T) {
	t.Parallel()
	eachDurable(t, func(t *testing.T, w *world) {
		digest := w.release("app", "1.0.0", "bundle")
		w.apply("app", w.spec("app", versioned("1.x")))
		before := w.ready("app")
		w.whole("app")
		w.heard("app", 1)
		w.controller.writes.take()
		flip(t, w, ".tar.gz")
		w.gone(before.Status.Artifact.URL)
		w.awaitFiles("it is made again", func(files []string) bool { return len(files) == 2 })
		w.awaitThat("it is served again", func() bool { code, _ := download(t, before.Status.Artifact.URL); return code == http.StatusOK })
		w.whole("app")
		w.expect(w.again("app"), w.released("1.0.0", digest))
		if diff := cmp.Diff(before.Status.Artifact, w.get("app").Status.Artifact); diff != "" {
			t.Errorf("artifact (-before +after):\n%s", diff)
		}
		w.tells("app", "Normal SignatureVerified")
	})
}

// With the registry down it is reported, by the download that found it or by
// the next poll.
func TestStoryArchiveChangesWithTheRegistryDown(t *testing.T) {
	t.Parallel()
	for name, notice := range map[string]func(w *world, url string){
		"by a download": func(w *world, url string) { w.gone(url) },
		"by a poll":     func(w *world, _ string) { w.poll("app") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := durable(t, settings{})
			digest := w.release("app", "1.0.0", "cosign")
			w.apply("app", w.spec("app", versioned("1.x")))
			before := w.ready("app")
			w.heard("app", 1)
			w.registry.Down()
			flip(t, w, ".tar.gz")
			notice(w, before.Status.Artifact.URL)
			obj := w.awaitCondition("app", "ArtifactInStorage", "False/ArtifactMissing")
			want := w.released("1.0.0", digest)
			want.conditions = missing("RegistryUnavailable")
			w.expect(obj, want)
			w.gone(before.Status.Artifact.URL)
			up(t, w.registry)
			w.expect(w.ready("app"), w.released("1.0.0", digest))
			w.whole("app")
		})
	}
}

// A bit that flips in the kept signatures is the disk's, and no verdict: under
// another policy, the artifact is known by its evidence until it can be judged.
func TestStoryKeptSignaturesChange(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *world, string){"a bit": flip, "all": remove} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := durable(t, settings{})
			digest := w.release("app", "1.0.0", "cosign")
			w.apply("app", w.spec("app", nil))
			url := w.ready("app").Status.Artifact.URL
			w.heard("app", 1)
			w.registry.Down()
			change(t, w, ".signatures.json")
			// More keys than before: the signature satisfies both policies.
			w.edit("app", trusts(inline("release-key", w.key, newKey(t, signing.ECDSAP256))))
			obj := w.settled("app")
			wantConditions(t, obj, map[string]string{"ArtifactInStorage": "True/ArtifactPublished", "Verified": "Unknown/RegistryUnavailable"})
			if code, _ := download(t, url); code != http.StatusOK {
				t.Errorf("expected it to be served, found %d", code)
			}
			up(t, w.registry)
			w.expect(w.ready("app"), w.released("1.0.0", digest))
			w.tells("app", "Normal SignatureVerified", "Warning RegistryUnavailable", "Normal SignatureVerified")
		})
	}
}

// Somebody empties the volume under a controller that runs.
func TestStoryVolumeIsEmptied(t *testing.T) {
	t.Parallel()
	eachDurable(t, func(t *testing.T, w *world) {
		digest := w.release("app", "1.0.0", "bundle")
		w.apply("app", w.spec("app", nil))
		before := w.ready("app")
		entries, err := os.ReadDir(w.storage)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if err := os.RemoveAll(filepath.Join(w.storage, entry.Name())); err != nil {
				t.Fatal(err)
			}
		}
		w.gone(before.Status.Artifact.URL)
		w.expect(w.poll("app"), w.released("1.0.0", digest))
		w.whole("app")
		// And goes on.
		digest = w.release("app", "1.0.1", "bundle")
		w.expect(w.poll("app"), w.released("1.0.1", digest))
	})
}

// The volume comes back as it was before, while the controller runs or not:
// what status names is made again, and what it does not name is not current.
func TestStoryOldCopyOfTheVolume(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"while it runs": false, "before it starts": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := durable(t, settings{})
			w.release("app", "1.0.0", "bundle")
			w.release("refused", "1.0.0", "bundle")
			w.apply("app", w.spec("app", nil))
			w.apply("refused", w.spec("refused", nil))
			w.apply("deleted", w.spec("app", nil))
			first := w.ready("app").Status.Artifact
			withdrawn, deleted := w.ready("refused").Status.Artifact, w.ready("deleted").Status.Artifact
			old := t.TempDir()
			if err := os.CopyFS(old, os.DirFS(w.storage)); err != nil {
				t.Fatal(err)
			}
			digest := w.release("app", "1.1.0", "bundle")
			w.expect(w.poll("app"), w.released("1.1.0", digest))
			w.edit("refused", trusts(inline("release-key", newKey(t, signing.ECDSAP256))))
			wantConditions(t, w.settled("refused"), map[string]string{"ArtifactInStorage": "False/ArtifactWithdrawn"})
			w.delete(object(w, "deleted"))
			w.awaitThat("it is removed", func() bool { code, _ := download(t, deleted.URL); return code == http.StatusNotFound })

			if restart {
				w.stopController()
			}
			if err := os.RemoveAll(filepath.Join(w.storage, "modulesource")); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(w.storage, os.DirFS(old)); err != nil {
				t.Fatal(err)
			}
			if restart {
				w.start()
			}
			w.expect(w.poll("app"), w.released("1.1.0", digest))
			w.whole("app")
			w.poll("refused")
			w.gone(withdrawn.URL)
			info, err := os.Stat(filepath.Join(w.storage, filepath.FromSlash(first.Path)))
			if err == nil && info.ModTime().Unix() == 0 {
				t.Error("expected the old archive to be superseded, found it current")
			}
			if restart {
				w.awaitThat("what has no owner is swept", func() bool { code, _ := download(t, deleted.URL); return code == http.StatusNotFound })
			}
		})
	}
}

// What is served is never what was only half copied or put there by others.
func TestStoryForeignFilesAreNotServed(t *testing.T) {
	t.Parallel()
	w := durable(t, settings{})
	w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", nil))
	url := w.ready("app").Status.Artifact.URL
	folder := filepath.Join(w.storage, "modulesource", w.namespace, "app")
	foreign := strings.Repeat("ab", 32) + ".tar.gz"
	if err := os.WriteFile(filepath.Join(folder, foreign), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.gone(url[:strings.LastIndex(url, "/")+1] + foreign)
	if _, err := os.Stat(filepath.Join(folder, foreign)); !os.IsNotExist(err) {
		t.Errorf("expected it to be removed, found %v", err)
	}
	w.poll("app")
	w.whole("app")
}

// Suspended sources are not made again, but what changed is reported.
func TestStoryArchiveChangesWhileSuspended(t *testing.T) {
	t.Parallel()
	w := durable(t, settings{})
	digest := w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", nil))
	url := w.ready("app").Status.Artifact.URL
	w.edit("app", suspend)
	w.settled("app")
	w.registry.Reset()
	flip(t, w, ".tar.gz")
	w.gone(url)
	w.awaitCondition("app", "ArtifactInStorage", "False/ArtifactMissing")
	w.silent()
	w.edit("app", resume)
	w.expect(w.ready("app"), w.released("1.0.0", digest))
}
