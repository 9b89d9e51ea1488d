package main

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/modules.txt anew")

// goList lists what the go command says of packages, a line each, sorted and
// once.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	command := exec.Command("go", append([]string{"list"}, args...)...)
	// The controller runs on Linux, whatever this machine is.
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
	slices.Sort(lines)
	return slices.Compact(lines)
}

// TestModules holds the modules that the controller is built of. What signs,
// asks on a terminal or speaks to a key management service is for the command
// line; a module that the controller needs is added with its reason in the
// commit, by go test -run TestModules . -update.
func TestModules(t *testing.T) {
	const path = "testdata/modules.txt"
	got := goList(t, "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Fields(string(text)), got); diff != "" {
		t.Errorf("the controller is built of other modules than %s says (-%s +built):\n%s", path, path, diff)
	}
}

// TestWhoSigns: the package that signs is the command line's alone.
func TestWhoSigns(t *testing.T) {
	const signing = "github.com/assay-dev/assay/internal/signing"
	var importers []string
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		packages := strings.Fields(line)
		if slices.Contains(packages[1:], signing) {
			importers = append(importers, packages[0])
		}
	}
	if diff := cmp.Diff([]string{"github.com/assay-dev/assay/cmd/assay"}, importers); diff != "" {
		t.Errorf("those that import %s (-want +got):\n%s", signing, diff)
	}
}
