package story

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// TestLeftoverArchiveIsRemoved leaves an archive behind that no status names,
// as a process does that dies between publishing and reporting, and expects the
// next one to remove it: nobody would judge it again.
func TestLeftoverArchiveIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	exact := func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.0.0" }
	w.sign("app", w.push("app", "1.0.0", nil), "cosign", w.key)
	w.push("unsigned", "1.0.0", nil)
	w.apply("app", w.spec("app", exact))
	w.apply("unsigned", w.spec("unsigned", exact))
	w.settled("app")
	w.settled("unsigned")

	w.stopController()
	folder := filepath.Join(w.storage, "modulesource", w.namespace)
	if err := os.CopyFS(filepath.Join(folder, "unsigned"), os.DirFS(filepath.Join(folder, "app"))); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.poll("unsigned")
	if _, err := os.Stat(filepath.Join(folder, "unsigned")); !os.IsNotExist(err) {
		t.Errorf("expected nothing left behind, found %v", err)
	}
	w.poll("app")
	if found, err := os.ReadDir(filepath.Join(folder, "app")); err != nil || len(found) != 2 {
		t.Errorf("expected the archive and its signatures of app to stay, found %v, %v", found, err)
	}
}
