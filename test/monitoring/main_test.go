package monitoring

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/test/controlplane"
)

var background = context.Background()

var assets = sync.OnceValues(func() (string, error) { return Assets(os.Stderr) })

// program is the path of prometheus or promtool.
func program(t *testing.T, name string) string {
	t.Helper()
	folder, err := assets()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, name)
}

func root(t *testing.T) string {
	t.Helper()
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func groups(t *testing.T) Groups {
	t.Helper()
	g, err := ReadGroups()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// writeRules writes a rule file.
func writeRules(t *testing.T, path string, g Groups) {
	t.Helper()
	text, err := yaml.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// promtool runs promtool in a folder. The error holds what it says.
func promtool(t *testing.T, folder string, args ...string) error {
	t.Helper()
	cmd := exec.Command(program(t, "promtool"), args...)
	cmd.Dir = folder
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("promtool %v: %w\n%s", args, err, out.Bytes())
	}
	return nil
}

// testFiles are the files of testdata whose name matches.
func testFiles(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("expected files testdata/%s, found none, %v", pattern, err)
	}
	return found
}

// testRules has promtool run a file of tests against rules.
func testRules(t *testing.T, g Groups, file string) error {
	t.Helper()
	folder := t.TempDir()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o600); err != nil {
		t.Fatal(err)
	}
	writeRules(t, filepath.Join(folder, "rules.yaml"), g)
	return promtool(t, folder, "test", "rules", filepath.Base(file))
}
