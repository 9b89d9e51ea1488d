package api

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The API server drops a field that it does not know before it looks at the
// rules, unless the client asks it to refuse (kubectl does, controllers and
// many deployment tools do not). None of what is dropped may be what narrows
// trust: it is required, or it is kept where it stands and the core refuses it.

var misspelt = table{
	"verify":            {edits: edits(rename("verify", "verfy")), refused: "verify", says: "Required value"},
	"authorities":       {edits: edits(rename("verify.authorities", "authorites")), refused: "verify.authorities", says: "Required value"}, //nolint:misspell // on purpose
	"authority":         {edits: edits(rename("verify.authorities", "authority")), refused: "verify.authorities", says: "Required value"},
	"key":               {edits: edits(rename(keyField, "keys")), refused: authorityField, says: keyOrKeyless},
	"secretRef":         {edits: edits(rename(keyField+".secretRef", "secretref")), refused: keyField, says: oneOf},
	"secretName":        {edits: edits(onlyKey(map[string]any{"secretName": "keys"})), refused: keyField, says: oneOf},
	"key as keyless":    {edits: edits(rename(keyField, "keyless")), refused: identitiesField, says: "Required value"},
	"keyless in key":    {edits: edits(onlyKey(map[string]any{"keyless": map[string]any{"identities": []any{}}})), refused: keyField, says: oneOf},
	"keyless":           {edits: edits(signer(), rename(keylessField, "keyLess")), refused: authorityField, says: keyOrKeyless},
	"identity":          {edits: edits(signer(), rename(identitiesField, "identity")), refused: identitiesField, says: "Required value"},
	"issuer":            {edits: edits(signer(), rename(identityField+".issuer", "Issuer")), refused: identityField, says: oneIssuer},
	"subjectRegex":      {edits: edits(signer(), rename(identityField+".subject", "subjectRegex")), refused: identityField, says: oneSubject},
	"subject beside it": {edits: edits(signer(set("issuerRegexp", ".*"), drop("issuer"))), refused: identityField, says: oneIssuer},
	"extension value":   {edits: edits(says(map[string]any{"name": "buildTrigger", "values": "push"})), refused: extensionField + ".value", says: "Required value"},
	"root's kind":       {edits: edits(signer(), rooted("Secret"), rename(rootField+".kind", "Kind")), refused: rootField + ".kind", says: "Required value"},
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

// full writes every field of verify at least once, with values that are not the
// defaults where they narrow trust.
func full(spec map[string]any) {
	set("secretRef", named("registry"))(spec)
	set("immutableVersions", true)(spec)
	root := rootRef("ConfigMap", set("key", "internal.json"))
	spec["verify"] = map[string]any{
		"provider":    "cosign",
		"threshold":   int64(5),
		"denyDigests": someDigests(2), "signatureGracePeriod": "2m0s",
		"authorities": listOf(
			authority("a"),
			authority("b", set("key", map[string]any{"configMapRef": named("b")}), set("transparencyLog", "Require"), set("trustedRootRef", root)),
			authority("c", set("key", map[string]any{"data": publicKey(1)})),
			authority("d", certificates(
				identity(set("extensions", listOf(extension("buildTrigger", "push"), extension("sourceRepositoryRef", "refs/heads/main")))),
				identity(like("issuer", `https://.*\.example\.org`), like("subject", `.*@example\.org`), set("extensions", listOf(extension("runnerEnvironment", "github-hosted")))),
			), set("transparencyLog", "Require"), set("trustedRootRef", rootRef("Secret", set("key", "public.json"))), set("notBefore", someTime), set("notAfter", laterTime)),
			authority("e", certificates(identity()), set("transparencyLog", "Ignore")),
		),
	}
}

// TestMisspeltFieldsDoNotWeakenVerify misspells each field of verify in turn.
// It is refused, by the API server or by the core, or nothing of what was
// written is lost.
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
				stored := obj.Object["spec"].(map[string]any)
				switch err := core(stored); {
				case errors.Is(err, errUnknownField) && strings.Contains(err.Error(), wrong):
					return
				case err != nil:
					t.Errorf("expected the core to refuse %q for what it is, found %v", wrong, err)
				}
				want := write(full).Object["spec"].(map[string]any)["verify"]
				if diff := cmp.Diff(want, stored["verify"]); diff != "" {
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

var index = regexp.MustCompile(`\[\d+\]`)

// general is a path without the indexes of lists.
func general(path string) string { return index.ReplaceAllString(path, "[]") }

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

// misspellings are names that a field does not have: those that differ in a
// letter, and those that differ in case alone, which some decoders take for it.
func misspellings(name string) []string {
	runes := []rune(name)
	last := len(runes) - 1
	swapped := slices.Clone(runes)
	swapped[last-1], swapped[last] = swapped[last], swapped[last-1]
	wrong := []string{
		name + "s",
		string(runes[:last]),
		string(runes[1:]),
		string(swapped),
		string(unicode.ToUpper(runes[0])) + string(runes[1:]),
		strings.ToUpper(name),
		" " + name,
	}
	if lower := strings.ToLower(name); lower != name {
		wrong = append(wrong, lower)
	}
	return wrong
}

// TestUnknownFieldsAreNamed: a client that asks for it is told what it
// misspelt, except for what the API server keeps, which is all below verify.
func TestUnknownFieldsAreNamed(t *testing.T) {
	for _, path := range []string{
		"urls", "vershun", "tags", "digst", "versionfilter", "intervall", "timeOut", "suspended", "insecur", "secretref",
		"secretRef.key",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			obj := write(full, set(path, "x"))
			err := kube.Create(background, obj, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
			if want := fmt.Sprintf("unknown field %q", "spec."+path); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), want) {
				t.Errorf("expected a bad request that says %s, found %v", want, err)
			}
		})
	}
}
