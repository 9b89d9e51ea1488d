package verify_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allowedImports is all that the package may import. Where there is a list, it
// is all that the package may use of it: most of these can also open files,
// read the environment, ask the clock or dial.
var allowedImports = map[string][]string{
	"bytes":                      nil,
	"cmp":                        nil,
	"crypto":                     nil,
	"crypto/ecdsa":               nil,
	"crypto/ed25519":             nil,
	"crypto/elliptic":            nil,
	"crypto/rsa":                 nil,
	"crypto/sha256":              nil,
	"encoding/asn1":              nil,
	"encoding/base64":            nil,
	"encoding/hex":               nil,
	"encoding/json":              nil,
	"encoding/pem":               nil,
	"errors":                     nil,
	"fmt":                        {"Errorf", "Sprintf"},
	"maps":                       nil,
	"io":                         {"EOF"},
	"regexp/syntax":              nil,
	"regexp":                     nil,
	"slices":                     nil,
	"strings":                    nil,
	"unicode/utf8":               nil,
	"context":                    {"Background"},
	"time":                       {"RFC3339", "RFC3339Nano", "Time"},
	"crypto/x509":                {"Certificate", "ParseCertificate", "ParsePKIXPublicKey", "ParsePKCS1PublicKey", "MarshalPKIXPublicKey"},
	"github.com/digitorus/pkcs7": {"Parse"},
	"github.com/google/go-containerregistry/pkg/v1":             {"Hash", "NewHash"},
	"github.com/sigstore/cosign/v2/pkg/cosign":                  {"CheckOpts", "VerifyImageSignature", "SimpleClaimVerifier"},
	"github.com/sigstore/cosign/v2/pkg/cosign/bundle":           {"RFC3161Timestamp", "RekorBundle"},
	"github.com/sigstore/cosign/v2/pkg/oci":                     {"Signature"},
	"github.com/sigstore/cosign/v2/pkg/oci/static":              {"BundleAnnotationKey", "CertificateAnnotationKey", "ChainAnnotationKey", "NewSignature", "Option", "RFC3161TimestampAnnotationKey", "SignatureAnnotationKey", "WithBundle", "WithCertChain", "WithRFC3161Timestamp"},
	"github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1":    nil, // messages
	"github.com/sigstore/protobuf-specs/gen/pb-go/common/v1":    nil, // messages
	"github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1":     nil, // messages
	"github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1": nil, // messages
	"github.com/sigstore/sigstore-go/pkg/bundle":                {"Bundle", "MessageSignature", "NewBundle", "NewCertificate", "NewMessageSignature", "PublicKey"},
	"github.com/sigstore/sigstore-go/pkg/root":                  {"BaseTrustedMaterial", "ExpiringKey", "NewExpiringKey", "NewTrustedRootFromProtobuf", "NewTrustedRootProtobuf", "TimeConstrainedVerifier", "TransparencyLog", "TrustedMaterial", "TrustedRootMediaType01"},
	"github.com/sigstore/sigstore-go/pkg/tlog":                  {"Entry", "ParseTransparencyLogEntry"},
	"github.com/sigstore/sigstore-go/pkg/verify": {
		"NewPolicy", "NewVerifier", "PolicyBuilder", "PolicyOption", "SignatureContent", "SignedEntity", "VerificationContent", "VerificationResult", "VerifierOption",
		"VerifyLeafCertificate", "VerifySignedCertificateTimestamp", "VerifySignedTimestampWithThreshold", "VerifyTlogEntry",
		"WithArtifactDigest", "WithKey", "WithNoObserverTimestamps", "WithObserverTimestamps", "WithSignedCertificateTimestamps", "WithSignedTimestamps",
		"WithTransparencyLog", "WithoutArtifactUnsafe", "WithoutIdentitiesUnsafe", "WithoutStatementPredicate",
	},
	"github.com/sigstore/sigstore/pkg/cryptoutils":       {"PKCS1PublicKeyPEMType", "PublicKeyPEMType", "UnmarshalCertificatesFromPEM", "UnmarshalOtherNameSAN"},
	"github.com/sigstore/sigstore/pkg/signature":         {"ED25519Verifier", "LoadED25519Verifier", "LoadED25519phVerifier", "LoadVerifier", "Verifier"},
	"github.com/sigstore/sigstore/pkg/signature/payload": {"CosignSignatureType", "SimpleContainerImage"},
	"google.golang.org/protobuf/encoding/protojson":      {"Unmarshal"},
	"google.golang.org/protobuf/proto":                   {"MarshalOptions"},
}

// onlyIn says which file alone may import, or which function alone may call.
var onlyIn = map[string]string{
	"context":               "cosign.go", // Cosign's function has the parameter
	"WithoutArtifactUnsafe": "ownDigestPolicy",
	// Keys with a policy for keys, certificates with none of the library's:
	// whose they are is compared by this package, in one way for both formats.
	"WithKey":                 "by",
	"WithoutIdentitiesUnsafe": "by",
	// A key has no dates, and it alone needs no time.
	"WithNoObserverTimestamps": "verifierOptions",
}

// complaints are what a file does that the package must not.
func complaints(name string, file *ast.File) []string {
	var all []string
	packages := map[string]string{}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err)
		}
		if _, ok := allowedImports[path]; !ok {
			all = append(all, "imports "+path)
		}
		if where, ok := onlyIn[path]; ok && where != name {
			all = append(all, "imports "+path+" outside of "+where)
		}
		packages[localName(spec, path)] = path
	}
	for _, decl := range file.Decls {
		function := ""
		if f, ok := decl.(*ast.FuncDecl); ok {
			function = f.Name.Name
		}
		if function == "init" {
			all = append(all, "has an init function")
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				all = append(all, "starts a goroutine")
			case *ast.SelectorExpr:
				all = append(all, complaintsOfUse(n, packages, function)...)
			}
			return true
		})
	}
	return all
}

func localName(spec *ast.ImportSpec, path string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	return path[strings.LastIndex(path, "/")+1:]
}

func complaintsOfUse(use *ast.SelectorExpr, packages map[string]string, function string) []string {
	of, ok := use.X.(*ast.Ident)
	if !ok {
		return nil
	}
	path, ok := packages[of.Name]
	if !ok {
		return nil
	}
	if allowed := allowedImports[path]; allowed != nil && !slices.Contains(allowed, use.Sel.Name) {
		return []string{fmt.Sprintf("uses %s of %s", use.Sel.Name, path)}
	}
	if where, ok := onlyIn[use.Sel.Name]; ok && where != function {
		return []string{"uses " + use.Sel.Name + " outside of " + where}
	}
	return nil
}

// sources are the package's files that are not tests.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < 5 {
		t.Fatalf("only %d files to look at", len(files))
	}
	return files
}

// The package doc's promise: no clock, no network, no file system, no
// environment, no Kubernetes, and nothing of this repository.
func TestImports(t *testing.T) {
	for name, file := range sources(t) {
		for _, complaint := range complaints(name, file) {
			t.Errorf("%s %s", name, complaint)
		}
	}
}

// The test above sees what it is there to see.
func TestImportsSees(t *testing.T) {
	tests := map[string]struct {
		name, source string
		want         []string
	}{
		"Network":    {"a.go", `import "net/http"`, []string{"imports net/http"}},
		"Dial":       {"a.go", `import "net"; var c, _ = net.Dial("tcp", "")`, []string{"imports net"}},
		"Files":      {"a.go", `import "os"`, []string{"imports os"}},
		"Unsafe":     {"a.go", `import "unsafe"`, []string{"imports unsafe"}},
		"Kubernetes": {"a.go", `import "k8s.io/api/core/v1"`, []string{"imports k8s.io/api/core/v1"}},
		"Ours":       {"a.go", `import "github.com/assay-dev/assay/internal/registry"`, []string{"imports github.com/assay-dev/assay/internal/registry"}},
		"Context":    {"verify.go", `import "context"`, []string{"imports context outside of cosign.go"}},
		"TODO":       {"cosign.go", `import "context"; var c = context.TODO()`, []string{"uses TODO of context"}},
		"Now":        {"bundle.go", `import "time"; func f() { time.Now() }`, []string{"uses Now of time"}},
		"Since":      {"bundle.go", `import "time"; var f = time.Since`, []string{"uses Since of time"}},
		"Renamed":    {"bundle.go", `import clock "time"; func f() { clock.Sleep(1) }`, []string{"uses Sleep of time"}},
		"Print":      {"a.go", `import "fmt"; func f() { fmt.Println() }`, []string{"uses Println of fmt"}},
		"Roots":      {"a.go", `import "crypto/x509"; func f() { x509.SystemCertPool() }`, []string{"uses SystemCertPool of crypto/x509"}},
		"TUF":        {"a.go", `import "github.com/sigstore/sigstore-go/pkg/root"; func f() { root.FetchTrustedRoot() }`, []string{"uses FetchTrustedRoot of github.com/sigstore/sigstore-go/pkg/root"}},
		"Registry":   {"a.go", `import "github.com/sigstore/cosign/v2/pkg/cosign"; func f() { cosign.VerifyImageSignatures() }`, []string{"uses VerifyImageSignatures of github.com/sigstore/cosign/v2/pkg/cosign"}},
		"Goroutine":  {"a.go", `func f() { go f() }`, []string{"starts a goroutine"}},
		"Init":       {"a.go", `func init() {}`, []string{"has an init function"}},
		"NoIdentity": {"a.go", `import sigstore "github.com/sigstore/sigstore-go/pkg/verify"; func f() { sigstore.WithoutIdentitiesUnsafe() }`, []string{"uses WithoutIdentitiesUnsafe outside of by"}},
		"Clock":      {"a.go", `import sigstore "github.com/sigstore/sigstore-go/pkg/verify"; func f() { sigstore.WithCurrentTime() }`, []string{"uses WithCurrentTime of github.com/sigstore/sigstore-go/pkg/verify"}},
		"NoArtifact": {"a.go", `import sigstore "github.com/sigstore/sigstore-go/pkg/verify"; func f() { sigstore.WithoutArtifactUnsafe() }`, []string{"uses WithoutArtifactUnsafe outside of ownDigestPolicy"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file, err := parser.ParseFile(token.NewFileSet(), tt.name, "package verify; "+tt.source, 0)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, complaints(tt.name, file)); diff != "" {
				t.Errorf("complaints (-want +got):\n%s", diff)
			}
		})
	}
}

// Fields of other packages are out of reach without these.
func TestNothingReachesIntoTheProof(t *testing.T) {
	looked := 0
	err := filepath.WalkDir("../..", func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipOutside(path)
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		looked++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			if slices.Contains([]string{`"unsafe"`, `"C"`}, spec.Path.Value) {
				t.Errorf("%s imports %s", path, spec.Path.Value)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 20 {
		t.Errorf("only %d files to look at", looked)
	}
}

// skipOutside skips modules of their own, and what Git has.
func skipOutside(path string) error {
	if filepath.Base(path) == ".git" || filepath.Base(path) == "testdata" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != "../.." {
		return filepath.SkipDir
	}
	return nil
}
