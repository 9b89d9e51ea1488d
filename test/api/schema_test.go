package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMaxima: every string and list of spec is bounded, which CEL's estimates
// need too, and the API server refuses what is longer by one. A string that is
// one of a list is bounded by the list.
func TestMaxima(t *testing.T) {
	want := map[string]string{
		"spec.url":                                                             "512",
		"spec.version":                                                         "96",
		"spec.tag":                                                             "128",
		"spec.digest":                                                          "71",
		"spec.versionFilter":                                                   "256",
		"spec.interval":                                                        "32",
		"spec.timeout":                                                         "32",
		"spec.secretRef.name":                                                  "253",
		"spec.verify.provider":                                                 "16",
		"spec.verify.authorities":                                              "16",
		"spec.verify.denyDigests":                                              "64",
		"spec.verify.denyDigests[0]":                                           "71",
		"spec.verify.signatureGracePeriod":                                     "32",
		"spec.verify.authorities[0].notBefore":                                 "25",
		"spec.verify.authorities[0].notAfter":                                  "25",
		"spec.verify.authorities[0].name":                                      "63",
		"spec.verify.authorities[0].key.secretRef.name":                        "253",
		"spec.verify.authorities[0].key.configMapRef.name":                     "253",
		"spec.verify.authorities[0].key.data":                                  "16384",
		"spec.verify.authorities[0].transparencyLog":                           "16",
		"spec.verify.authorities[0].trustedRootRef.name":                       "253",
		"spec.verify.authorities[0].trustedRootRef.key":                        "253",
		"spec.verify.authorities[0].keyless.identities":                        "32",
		"spec.verify.authorities[0].keyless.identities[0].issuer":              "512",
		"spec.verify.authorities[0].keyless.identities[0].issuerRegExp":        "512",
		"spec.verify.authorities[0].keyless.identities[0].subject":             "512",
		"spec.verify.authorities[0].keyless.identities[0].subjectRegExp":       "512",
		"spec.verify.authorities[0].keyless.identities[0].extensions":          "21",
		"spec.verify.authorities[0].keyless.identities[0].extensions[0].value": "512",
	}
	found := map[string]string{}
	walk(specSchema(t), "spec", func(path string, schema map[string]any) {
		switch {
		case schema["enum"] != nil:
		case schema["type"] == "string":
			found[path] = limit(schema, "maxLength")
		case schema["type"] == "array":
			found[path] = limit(schema, "maxItems")
		}
	})
	if diff := cmp.Diff(want, found); diff != "" {
		t.Fatalf("the maxima of the schema (-want +found):\n%s", diff)
	}
	complete := func(spec map[string]any) {
		full(spec)
		for _, field := range []string{"version", "tag", "digest", "versionFilter", "interval", "timeout"} {
			spec[field] = "x" // No rule is looked at where a value is too long.
		}
	}
	places := map[string]string{} // of each field in complete
	for _, path := range pathsIn(write(complete).Object["spec"], "spec") {
		places[general(path)] = strings.TrimPrefix(path, "spec.")
	}
	for path, most := range found {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			n, err := strconv.Atoi(most)
			if err != nil {
				t.Fatal(err)
			}
			place, inList := places[general(path)], false
			if place == "" { // The strings of a list have no names.
				place, inList = places[general(strings.TrimSuffix(path, "[0]"))], true
			}
			parent, last := parentOf(write(complete).Object["spec"].(map[string]any), place)
			says, beyond := fmt.Sprintf("Too long: may not be more than %d bytes", n), any(strings.Repeat("a", n+1))
			field := place
			if list, ok := parent[last].([]any); ok && inList {
				beyond, field = []any{beyond}, place+"[0]"
			} else if ok {
				says, beyond = fmt.Sprintf("must have at most %d items", n), slices.Repeat(list[:1], n+1)
			}
			refusals := ask(t, write(complete, set(place, beyond)))
			// Of what a list cannot hold, there may be more to say.
			if messages := refusals[below("spec", field)]; !slices.ContainsFunc(messages, func(m string) bool { return strings.Contains(m, says) }) {
				t.Errorf("%s: expected the refusal to say %q, found %q", place, says, refusals)
			}
		})
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
		"verify.authorities[0].name", "verify.authorities[0].key.secretRef.name", "verify.authorities[1].key.configMapRef.name",
		"verify.authorities[1].trustedRootRef.kind", "verify.authorities[3].trustedRootRef.name",
		"verify.authorities[3].keyless.identities",
		"verify.authorities[3].keyless.identities[0].extensions[0].name", "verify.authorities[3].keyless.identities[0].extensions[1].value",
	} {
		want["spec."+index.ReplaceAllString(path, "[0]")] = true
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			example{edits: edits(full, drop(path)), refused: path, says: "Required value"}.check(t)
		})
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("the required fields of the schema (-want +found):\n%s", diff)
	}
}
