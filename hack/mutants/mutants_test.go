package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table is of the code as it is: every text is there, once, and every test.
func TestTable(t *testing.T) {
	root := filepath.Join("..", "..")
	names := map[string]bool{}
	tests := map[string][]string{}
	for _, m := range table {
		t.Run(m.name, func(t *testing.T) {
			if names[m.name] {
				t.Error("expected a name of its own")
			}
			names[m.name] = true
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
			if err != nil {
				t.Fatal(err)
			}
			broken, err := m.apply(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if broken == string(text) {
				t.Error("expected something to be broken")
			}
			pkg := m.pkg()
			if tests[pkg] == nil {
				tests[pkg] = testsOf(t, filepath.Join(root, filepath.FromSlash(pkg)))
			}
			for name := range strings.SplitSeq(m.tests, "|") {
				if !slices.Contains(tests[pkg], name) {
					t.Errorf("%s has no test %q", pkg, name)
				}
			}
		})
	}
}

var declaration = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

func testsOf(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range declaration.FindAllStringSubmatch(string(text), -1) {
			names = append(names, found[1])
		}
	}
	return names
}
