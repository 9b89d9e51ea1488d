package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The API server drops a field that it does not know before it looks at the
// rules, unless the client asks it to refuse (kubectl does, controllers and
// many deployment tools do not). None of what is dropped may be what narrows
// trust.

var misspelt = table{
	"verify":          {edits: edits(rename("verify", "verfy")), refused: "verify", says: "Required value"},
	"authorities":     {edits: edits(rename("verify.authorities", "authorites")), refused: "verify.authorities", says: "Required value"}, //nolint:misspell // on purpose
	"authority":       {edits: edits(rename("verify.authorities", "authority")), refused: "verify.authorities", says: "Required value"},
	"transparencyLog": {edits: edits(rename("verify.authorities[0].transparencyLog", "transparancyLog")), refused: "verify.authorities[0].transparencyLog", says: "Required value"},
	"tlog":            {edits: edits(rename("verify.authorities[0].transparencyLog", "tlog")), refused: "verify.authorities[0].transparencyLog", says: "Required value"},
	"key":             {edits: edits(rename(keyField, "keys")), refused: keyField, says: "Required value"},
	"secretRef":       {edits: edits(rename(keyField+".secretRef", "secretref")), refused: keyField, says: oneOf},
	"secretName":      {edits: edits(onlyKey(map[string]any{"secretName": "keys"})), refused: keyField, says: oneOf},
	"keyless":         {edits: edits(rename(keyField, "keyless")), refused: keyField, says: "Required value"},
	"keyless in key":  {edits: edits(onlyKey(map[string]any{"keyless": map[string]any{"identities": []any{}}})), refused: keyField, says: oneOf},
	"threshold": {
		edits: edits(several(3), set("verify.threshold", 2), rename("verify.threshold", "treshold")), refused: "verify", says: thresholdNeeded,
	},
	"tresholds": {
		edits: edits(several(3), set("verify.threshold", 2), rename("verify.threshold", "tresholds")), refused: "verify", says: thresholdNeeded,
	},
	"threshold above verify": {edits: edits(several(3), set("threshold", 2)), refused: "verify", says: thresholdNeeded},
	"the second list": {
		edits:   edits(set("verify.threshold", 2), set("verify.authorites", []any{authority("other-key")})),
		refused: "verify", says: thresholdForm,
	},
	"Flux's identities": {
		edits:   edits(set("verify.matchOIDCIdentity", []any{map[string]any{"issuer": "^https://x$", "subject": "^y$"}}), drop("verify.authorities")),
		refused: "verify.authorities", says: "Required value",
	},
}

// full writes every field of verify at least once.
func full(spec map[string]any) {
	set("secretRef", named("registry"))(spec)
	spec["verify"] = map[string]any{
		"provider":  "cosign",
		"threshold": int64(3),
		"authorities": []any{
			authority("a"),
			authority("b", set("key", map[string]any{"configMapRef": named("b")})),
			authority("c", set("key", map[string]any{"data": publicKey(1)})),
		},
	}
}

// TestMisspeltFieldsDoNotWeakenVerify misspells each field of verify in turn.
// It is refused, or nothing of what was written is lost.
func TestMisspeltFieldsDoNotWeakenVerify(t *testing.T) {
	names := map[string]bool{}
	for _, path := range pathsIn(write(full).Object["spec"].(map[string]any)["verify"], "verify") {
		names[general(path)] = true
		for _, wrong := range misspellings(path[strings.LastIndex(path, ".")+1:]) {
			t.Run(path+" as "+wrong, func(t *testing.T) {
				t.Parallel()
				obj := write(full, rename(path, wrong))
				if ask(t, obj) != nil {
					return
				}
				want := write(full).Object["spec"].(map[string]any)["verify"]
				found, _, _ := unstructured.NestedMap(obj.Object, "spec", "verify")
				if diff := cmp.Diff(want, any(found)); diff != "" {
					t.Errorf("accepted, and something else than was written (-written +accepted):\n%s", diff)
				}
			})
		}
	}
	// A field that the schema has and full lacks would not have been tried.
	walk(specSchema(t), "spec", func(path string, _ map[string]any) {
		path = general(strings.TrimPrefix(path, "spec."))
		if strings.HasPrefix(path, "verify.") && !strings.HasSuffix(path, "]") && !names[path] {
			t.Errorf("expected every field of verify to be misspelt, %s was not", path)
		}
	})
}

// general is a path without the indexes of lists.
func general(path string) string {
	return step.ReplaceAllString(strings.NewReplacer("[0]", "[]", "[1]", "[]", "[2]", "[]").Replace(path), "$1[]")
}

// pathsIn are the paths of all fields in a value.
func pathsIn(value any, path string) []string {
	var paths []string
	switch v := value.(type) {
	case map[string]any:
		for name, child := range v {
			paths = append(paths, path+"."+name)
			paths = append(paths, pathsIn(child, path+"."+name)...)
		}
	case []any:
		for i, child := range v {
			paths = append(paths, pathsIn(child, fmt.Sprintf("%s[%d]", path, i))...)
		}
	}
	return paths
}

func misspellings(name string) []string {
	runes := []rune(name)
	last := len(runes) - 1
	swapped := slices.Clone(runes)
	swapped[last-1], swapped[last] = swapped[last], swapped[last-1]
	return []string{
		name + "s",
		string(runes[:last]),
		string(runes[1:]),
		string(swapped),
		string(unicode.ToUpper(runes[0])) + string(runes[1:]),
		strings.ToUpper(name),
		" " + name,
	}
}

// TestUnknownFieldsAreNamed: a client that asks for it is told what it
// misspelt, whatever the field.
func TestUnknownFieldsAreNamed(t *testing.T) {
	for _, path := range []string{
		"urls", "vershun", "tags", "digst", "versionfilter", "intervall", "timeOut", "suspended", "insecur", "secretref",
		"verify.treshold", "verify.authorites", "verify.authorities[0].keyless", "verify.authorities[0].keys",
		"verify.authorities[0].transparancyLog", "verify.authorities[0].key.secretName", "verify.authorities[0].key.secretRef.key",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			obj := write(set(path, "x"))
			err := kube.Create(background, obj, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
			if want := fmt.Sprintf("unknown field %q", "spec."+path); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), want) {
				t.Errorf("expected a bad request that says %s, found %v", want, err)
			}
		})
	}
}
