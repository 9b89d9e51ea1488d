package artifact

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The package doc's promise: the standard library and internal/verify, and a
// network in server.go only.
func TestImports(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		looked++
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(imported, "/")
			if strings.Contains(first, ".") && imported != "github.com/assay-dev/assay/internal/verify" {
				t.Errorf("%s imports %s", name, imported)
			}
			if first == "net" && !strings.HasPrefix(name, "server") {
				t.Errorf("%s imports %s", name, imported)
			}
		}
	}
	if looked == 0 {
		t.Error("found no files to look at")
	}
}
