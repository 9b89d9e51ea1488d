package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/assay-dev/assay/test/controlplane"
)

// program is bin/assay, built once.
var program struct {
	once   sync.Once
	folder string
	err    error
}

// assayProgram is the path of the command line, as it is built for its users.
func assayProgram(t *testing.T) string {
	t.Helper()
	p := &program
	p.once.Do(func() {
		var root string
		if root, p.err = controlplane.Root(); p.err != nil {
			return
		}
		if p.folder, p.err = os.MkdirTemp("", "assay-program"); p.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", filepath.Join(p.folder, "assay"), "./cmd/assay")
		build.Dir, build.Stderr = root, os.Stderr
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		p.err = build.Run()
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return filepath.Join(p.folder, "assay")
}

// removeProgram is for TestMain.
func removeProgram() { _ = os.RemoveAll(program.folder) }
