package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each metric has a row, and each row is of one.
func TestRows(t *testing.T) {
	all, err := described()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range all {
		if names[m.name] {
			t.Errorf("%s: described twice", m.name)
		}
		names[m.name] = true
		if _, ok := rows[m.name]; !ok {
			t.Errorf("%s: expected a row", m.name)
		}
	}
	for name := range rows {
		if !names[name] {
			t.Errorf("%s: a row of no metric", name)
		}
	}
}

// What a metric means is a plain sentence, which a table can hold.
func TestHelps(t *testing.T) {
	all, err := described()
	if err != nil {
		t.Fatal(err)
	}
	sentence := regexp.MustCompile(`^[A-Z][^|<>\x60\n]{20,}[^.]\.$`)
	for _, m := range all {
		if !sentence.MatchString(m.help) {
			t.Errorf("%s: expected a sentence, found %q", m.name, m.help)
		}
	}
}

// The document is what make generate writes.
func TestPageIsThere(t *testing.T) {
	want, err := page()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "metrics.md")
	if err := run([]string{path}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, filepath.Join("..", "..", "docs", "metrics.md")} {
		found, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(found)); diff != "" {
			t.Errorf("%s: run make generate (-expected +found):\n%s", path, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "Desc{}", `Desc{fqName: "a", help: "b", unit: "", constLabels: {c="d"}, variableLabels: {}}`} {
		if m, err := parse(text); err == nil {
			t.Errorf("%q: expected an error, found %+v", text, m)
		}
	}
	if err := run(nil); err == nil {
		t.Error("expected a file to be needed")
	}
}
