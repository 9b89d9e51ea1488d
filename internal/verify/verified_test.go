package verify_test

import (
	"go/ast"
	"reflect"
	"slices"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/google/go-cmp/cmp"
)

func TestZeroVerified(t *testing.T) {
	var v verify.Verified
	if !v.IsZero() || v.Digest() != "" || v.PolicyHash() != "" || v.Signers() != nil {
		t.Errorf("the zero Verified proves something: %+v", v)
	}
	if v := wantVerified(t, trusting(t, p256(t, "signer")), artifact, cosignSigned(t, artifact, p256(t, "signer"))); v.IsZero() {
		t.Error("a yes is zero")
	}
}

// Nobody outside can make one or change one: the fields are unexported, no
// method has a pointer receiver, and none of those there are decodes.
func TestVerifiedIsSealed(t *testing.T) {
	proof := reflect.TypeFor[verify.Verified]()
	for i := range proof.NumField() {
		if f := proof.Field(i); f.IsExported() || f.Anonymous {
			t.Errorf("the field %s is within reach", f.Name)
		}
	}
	var methods []string
	for i := range reflect.PointerTo(proof).NumMethod() {
		methods = append(methods, reflect.PointerTo(proof).Method(i).Name)
	}
	if diff := cmp.Diff([]string{"Digest", "IsZero", "Panics", "PolicyHash", "Signers"}, methods); diff != "" {
		t.Errorf("methods (-want +got):\n%s", diff)
	}
	if got := proof.NumMethod(); got != len(methods) {
		t.Errorf("%d methods have a value as their receiver, of %d", got, len(methods))
	}
}

// Inside the package, only Until makes one that is not zero, once, and nothing
// writes to one.
func TestOnlyVerifyMakesAVerified(t *testing.T) {
	var makers []string
	proof := reflect.TypeFor[verify.Verified]()
	var fields []string
	for i := range proof.NumField() {
		fields = append(fields, proof.Field(i).Name)
	}
	for name, file := range sources(t) {
		for _, decl := range file.Decls {
			function := name
			if f, ok := decl.(*ast.FuncDecl); ok {
				function = f.Name.Name
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CompositeLit:
					if id, ok := n.Type.(*ast.Ident); ok && id.Name == "Verified" && len(n.Elts) > 0 {
						makers = append(makers, function)
					}
				case *ast.StarExpr:
					if id, ok := n.X.(*ast.Ident); ok && id.Name == "Verified" {
						t.Errorf("%s: %s has a pointer to a Verified", name, function)
					}
				case *ast.AssignStmt:
					for _, left := range n.Lhs {
						if s, ok := left.(*ast.SelectorExpr); ok && slices.Contains(fields, s.Sel.Name) {
							t.Errorf("%s: %s writes to a field called %s", name, function, s.Sel.Name)
						}
					}
				}
				return true
			})
		}
	}
	if diff := cmp.Diff([]string{"Until"}, makers); diff != "" {
		t.Errorf("who makes a Verified (-want +got):\n%s", diff)
	}
}

func TestSignersAreTheCallers(t *testing.T) {
	key := p256(t, "signer")
	v := wantVerified(t, trusting(t, key), artifact, cosignSigned(t, artifact, key))
	v.Signers()[0].Authority = "changed"
	want := []verify.Signer{{Authority: "release", Format: verify.FormatCosign, KeyFingerprint: fingerprint(t, key)}}
	if diff := cmp.Diff(want, v.Signers()); diff != "" {
		t.Errorf("the evidence can be changed (-want +got):\n%s", diff)
	}
}
