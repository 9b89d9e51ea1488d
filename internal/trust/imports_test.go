package trust

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// allowed are the imports beyond the standard library. Of sigstore-go's tuf
// only the constants of the public-good instance are used; its client caches
// in the home directory. go-tuf's updater, config and fetcher stay out.
var allowed = map[string]bool{
	"github.com/assay-dev/assay/internal/verify":                       true,
	"github.com/go-logr/logr":                                          true,
	"github.com/prometheus/client_golang/prometheus":                   true,
	"github.com/sigstore/sigstore-go/pkg/tuf":                          true,
	"github.com/theupdateframework/go-tuf/v2/metadata":                 true,
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata": true,
}

// Where one file alone may reach outside.
var reaches = map[string]string{"net": "client.go", "net/http": "client.go", "crypto/tls": "client.go", "os": "file.go"}

// The package doc's promise.
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
			if strings.Contains(first, ".") && !allowed[imported] {
				t.Errorf("%s imports %s", name, imported)
			}
			if only, ok := reaches[imported]; ok && name != only {
				t.Errorf("%s imports %s", name, imported)
			}
		}
	}
	if looked == 0 {
		t.Error("found no files to look at")
	}
}
