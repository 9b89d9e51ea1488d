package api

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/verify"
)

// constant is a string constant in the source of a package.
type constant struct {
	file, kind, doc, value string
}

// sources parses a package's files, without its tests.
func sources(t *testing.T, folder string) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = file
	}
	if len(files) == 0 {
		t.Fatalf("found no Go files in %s", folder)
	}
	return files
}

// stringConstants are the string constants that a package declares, by name.
func stringConstants(t *testing.T, folder string) map[string]constant {
	t.Helper()
	found := map[string]constant{}
	for name, file := range sources(t, folder) {
		ast.Inspect(file, func(n ast.Node) bool {
			if decl, ok := n.(*ast.GenDecl); ok && decl.Tok == token.CONST {
				for _, spec := range decl.Specs {
					collect(found, name, decl, spec.(*ast.ValueSpec))
				}
			}
			return true
		})
	}
	return found
}

func collect(into map[string]constant, file string, decl *ast.GenDecl, spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		if i >= len(spec.Values) {
			continue
		}
		literal, ok := spec.Values[i].(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			continue
		}
		value, err := strconv.Unquote(literal.Value)
		if err != nil {
			continue
		}
		c := constant{file: file, value: value, doc: spec.Doc.Text()}
		if c.doc == "" && !decl.Lparen.IsValid() {
			c.doc = decl.Doc.Text()
		}
		if kind, ok := spec.Type.(*ast.Ident); ok {
			c.kind = kind.Name
		}
		into[name.Name] = c
	}
}

// apiReasons are the condition reasons of the API, by name.
func apiReasons(t *testing.T) map[string]constant {
	t.Helper()
	reasons := map[string]constant{}
	for name, c := range stringConstants(t, "api/v1alpha1") {
		if strings.HasPrefix(name, "Reason") {
			reasons[name] = c
		}
	}
	if len(reasons) == 0 {
		t.Fatal("found no reasons in api/v1alpha1")
	}
	return reasons
}

// reasonPattern is that of metav1.Condition.
var reasonPattern = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// TestReasonsAreDocumented: each stands in conditions.go under its own name,
// and says when it is given.
func TestReasonsAreDocumented(t *testing.T) {
	t.Parallel()
	for name, c := range apiReasons(t) {
		if c.file != "conditions.go" || name != "Reason"+c.value || !reasonPattern.MatchString(c.value) {
			t.Errorf("expected Reason%s in conditions.go, found %s in %s", c.value, name, c.file)
		}
		if rest, ok := strings.CutPrefix(c.doc, name); !ok || len(strings.Fields(rest)) < 3 {
			t.Errorf("%s: expected a doc comment that says when it is given, found %q", name, c.doc)
		}
	}
}

// TestReasonsAgree: the packages below the controllers do not import the API.
// What they call a reason, the API calls by the same name.
func TestReasonsAgree(t *testing.T) {
	t.Parallel()
	api := apiReasons(t)
	for folder, least := range map[string]int{"internal/verify": 9, "internal/registry": 8, "internal/artifact": 3, "internal/source": 1} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			looked := 0
			for name, c := range stringConstants(t, folder) {
				if c.kind != "Reason" && !strings.HasPrefix(name, "Reason") {
					continue
				}
				looked++
				same := "Reason" + strings.TrimPrefix(name, "Reason")
				if api[same].value != c.value {
					t.Errorf("%s = %q: expected it in api/v1alpha1, found %s = %q there", name, c.value, same, api[same].value)
				}
			}
			if looked < least {
				t.Errorf("expected at least %d reasons, found %d", least, looked)
			}
		})
	}
}

// TestReasonsAreConstants: a reason that is spelt where it is given would be
// compared with nothing.
func TestReasonsAreConstants(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"internal/verify", "internal/registry", "internal/artifact", "internal/source", "controllers", "controllers/inputs", "controllers/evidence"} {
		for name, file := range sources(t, folder) {
			ast.Inspect(file, func(n ast.Node) bool {
				if text, ok := spelt(n); ok {
					t.Errorf("%s/%s: expected a constant for the reason %s", folder, name, text)
				}
				return true
			})
		}
	}
}

// spelt returns the text in Reason: "text", Reason("text") and .Reason = "text".
func spelt(n ast.Node) (string, bool) {
	var name, value ast.Expr
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		name, value = n.Key, n.Value
	case *ast.CallExpr:
		if len(n.Args) == 1 {
			name, value = n.Fun, n.Args[0]
		}
	case *ast.AssignStmt:
		name, value = n.Lhs[0], n.Rhs[0]
	}
	if selector, ok := name.(*ast.SelectorExpr); ok {
		name = selector.Sel
	}
	identifier, ok := name.(*ast.Ident)
	literal, text := value.(*ast.BasicLit)
	if !ok || !text || identifier.Name != "Reason" {
		return "", false
	}
	return literal.Value, true
}

// TestBoundsAgree: what the schema bounds, the core bounds alike.
func TestBoundsAgree(t *testing.T) {
	t.Parallel()
	const authority, identity = "spec.verify.authorities[0]", "spec.verify.authorities[0].keyless.identities[0]"
	schema := map[string]map[string]any{}
	walk(specSchema(t), "spec", func(path string, s map[string]any) { schema[path] = s })
	want := map[string]string{
		"authorities":     fmt.Sprint(verify.MaxAuthorities),
		"keys":            fmt.Sprint(verify.MaxKeys),
		"identities":      fmt.Sprint(verify.MaxIdentities),
		"of one":          fmt.Sprint(verify.MaxIdentities),
		"issuer":          fmt.Sprint(verify.MaxIdentityLength),
		"issuerRegExp":    fmt.Sprint(verify.MaxIdentityLength),
		"subject":         fmt.Sprint(verify.MaxIdentityLength),
		"subjectRegExp":   fmt.Sprint(verify.MaxIdentityLength),
		"value":           fmt.Sprint(verify.MaxIdentityLength),
		"extensions":      fmt.Sprint(len(verify.ExtensionNames())),
		"names":           fmt.Sprint(verify.ExtensionNames()),
		"denied":          fmt.Sprint(verify.MaxDenyDigests),
		"grace":           v1alpha1.DefaultSignatureGracePeriod.String(),
		"interval":        v1alpha1.DefaultInterval.String(),
		"timeout":         v1alpha1.DefaultTimeout.String(),
		"transparencyLog": string(v1alpha1.TransparencyLogRequire),
		"root":            v1alpha1.DefaultTrustedRootKey,
	}
	found := map[string]string{
		"authorities":     limit(schema["spec.verify.authorities"], "maxItems"),
		"keys":            inAllOf(schema["spec.verify"], "public keys"),
		"identities":      inAllOf(schema["spec.verify"], "identities"),
		"of one":          limit(schema[authority+".keyless.identities"], "maxItems"),
		"issuer":          limit(schema[identity+".issuer"], "maxLength"),
		"issuerRegExp":    limit(schema[identity+".issuerRegExp"], "maxLength"),
		"subject":         limit(schema[identity+".subject"], "maxLength"),
		"subjectRegExp":   limit(schema[identity+".subjectRegExp"], "maxLength"),
		"value":           limit(schema[identity+".extensions[0].value"], "maxLength"),
		"extensions":      limit(schema[identity+".extensions"], "maxItems"),
		"names":           fmt.Sprint(schema[identity+".extensions[0].name"]["enum"]),
		"denied":          limit(schema["spec.verify.denyDigests"], "maxItems"),
		"grace":           duration(t, schema["spec.verify.signatureGracePeriod"]["default"]),
		"interval":        duration(t, schema["spec.interval"]["default"]),
		"timeout":         duration(t, schema["spec.timeout"]["default"]),
		"transparencyLog": fmt.Sprint(schema[authority+".transparencyLog"]["default"]),
		"root":            fmt.Sprint(schema[authority+".trustedRootRef.key"]["default"]),
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-Go +schema):\n%s", diff)
	}
	modes := map[v1alpha1.TransparencyLog]verify.LogMode{
		v1alpha1.TransparencyLogRequire: verify.LogRequire, v1alpha1.TransparencyLogIgnore: verify.LogIgnore,
	}
	for written, meant := range modes {
		if string(written) != string(meant) {
			t.Errorf("expected transparencyLog: %s to be %s in the core", meant, written)
		}
	}
}

// inAllOf is how many of something the rules of verify allow in all, by the
// rule and by its message.
func inAllOf(schema map[string]any, what string) string {
	for _, item := range schema["x-kubernetes-validations"].([]any) {
		rule := item.(map[string]any)
		var most int
		if _, err := fmt.Sscanf(rule["message"].(string), "authorities must have at most %d "+what+" in all", &most); err != nil {
			continue
		}
		if strings.HasSuffix(rule["rule"].(string), fmt.Sprintf(".sum() <= %d", most)) {
			return fmt.Sprint(most)
		}
	}
	return "no rule with a message that says the same"
}

func duration(t *testing.T, value any) string {
	t.Helper()
	d, err := time.ParseDuration(fmt.Sprint(value))
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}
