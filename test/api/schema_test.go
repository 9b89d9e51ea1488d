package api

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMaxima: every string and list of spec is bounded, which CEL's estimates
// need too, and the API server refuses what is longer by one.
func TestMaxima(t *testing.T) {
	want := map[string]string{
		"spec.url":                        "512",
		"spec.version":                    "96",
		"spec.tag":                        "128",
		"spec.digest":                     "71",
		"spec.versionFilter":              "256",
		"spec.interval":                   "32",
		"spec.timeout":                    "32",
		"spec.secretRef.name":             "253",
		"spec.verify.provider":            "16",
		"spec.verify.authorities":         "16",
		"spec.verify.authorities[0].name": "63",
		"spec.verify.authorities[0].key.secretRef.name":    "253",
		"spec.verify.authorities[0].key.configMapRef.name": "253",
		"spec.verify.authorities[0].key.data":              "16384",
		"spec.verify.authorities[0].transparencyLog":       "16",
	}
	found := map[string]string{}
	walk(specSchema(t), "spec", func(path string, schema map[string]any) {
		switch schema["type"] {
		case "string":
			found[path] = limit(schema, "maxLength")
		case "array":
			found[path] = limit(schema, "maxItems")
		}
	})
	if diff := cmp.Diff(want, found); diff != "" {
		t.Fatalf("the maxima of the schema (-want +found):\n%s", diff)
	}
	for path, most := range found {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			n, err := strconv.Atoi(most)
			if err != nil {
				t.Fatal(err)
			}
			says, beyond := fmt.Sprintf("Too long: may not be more than %d bytes", n), reach(strings.TrimPrefix(path, "spec."), strings.Repeat("a", n+1))
			if path == "spec.verify.authorities" {
				says, beyond = fmt.Sprintf("must have at most %d items", n), several(n+1)
			}
			example{edits: edits(beyond), refused: strings.TrimPrefix(path, "spec."), says: says}.check(t)
		})
	}
}

// reach is set, which makes the objects on its way.
func reach(path string, value any) edit {
	return func(spec map[string]any) {
		names := strings.Split(path, ".")
		for i := range names[:len(names)-1] {
			parent, last := parentOf(spec, strings.Join(names[:i+1], "."))
			if _, found := parent[last]; !found && !strings.Contains(last, "[") {
				parent[last] = map[string]any{}
			}
		}
		set(path, value)(spec)
	}
}

// TestRequired: what must be written.
func TestRequired(t *testing.T) {
	found := map[string]bool{}
	walk(specSchema(t), "spec", func(path string, schema map[string]any) {
		required, _ := schema["required"].([]any)
		for _, name := range required {
			found[path+"."+name.(string)] = true
		}
	})
	// By the path in full, which has each of them.
	want := map[string]bool{}
	for _, path := range []string{
		"url", "secretRef.name", "verify", "verify.authorities",
		"verify.authorities[0].name", "verify.authorities[0].key", "verify.authorities[0].transparencyLog",
		"verify.authorities[0].key.secretRef.name", "verify.authorities[1].key.configMapRef.name",
	} {
		want["spec."+strings.ReplaceAll(path, "[1]", "[0]")] = true
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			example{edits: edits(full, drop(path)), refused: path, says: "Required value"}.check(t)
		})
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("the required fields of the schema (-want +found):\n%s", diff)
	}
}
