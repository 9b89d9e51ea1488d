package api

import (
	"fmt"
	"strings"
	"testing"
)

// tables hold at least one accepted and one refused example of every rule.
var tables = map[string]table{
	"url":             urls,
	"version":         versions,
	"tag":             tags,
	"digest":          digests,
	"versionFilter":   filters,
	"interval":        intervals,
	"timeout":         timeouts,
	"secretRef":       credentials,
	"switches":        switches,
	"verify":          verification,
	"threshold":       thresholds,
	"authorities":     parties,
	"key":             keys,
	"key.data":        inlineKeys,
	"keyless":         certified,
	"identities":      identities,
	"extensions":      extensions,
	"trustedRootRef":  roots,
	"transparencyLog": logs,
	"misspelt":        misspelt,
	"window":          windows,
	"denyDigests":     denied,
	"grace":           graces,
}

func TestFields(t *testing.T) {
	for name, examples := range tables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			examples.run(t)
		})
	}
}

// TestEveryRuleHasExamples: a CEL rule without a refused example could be left
// out, and no test would notice.
func TestEveryRuleHasExamples(t *testing.T) {
	rules := 0
	walk(specSchema(t), "spec", func(path string, schema map[string]any) {
		list, _ := schema["x-kubernetes-validations"].([]any)
		for _, item := range list {
			rules++
			rule := item.(map[string]any)
			message, _ := rule["message"].(string)
			if message == "" {
				t.Errorf("%s: expected a message that says what to write instead of what breaks %v, found none", path, rule["rule"])
				continue
			}
			field := path
			if own, ok := rule["fieldPath"].(string); ok {
				field += own
			}
			if !refusedSomewhere(field, message) {
				t.Errorf("%s: expected an example that is refused with %q, found none", field, message)
			}
		}
	})
	if rules == 0 {
		t.Error("found no rules to look at")
	}
}

// refusedSomewhere reports whether an example expects a field's message, or a
// part of it that says something.
func refusedSomewhere(field, message string) bool {
	for _, examples := range tables {
		for _, x := range examples {
			if x.refused != "" && len(x.says) > 5 && below("spec", x.refused) == field && strings.Contains(message, x.says) {
				return true
			}
		}
	}
	return false
}

// walk calls visit for a schema and every schema in it, with its path; that of
// a list's items is the path of the first.
func walk(schema map[string]any, path string, visit func(path string, schema map[string]any)) {
	visit(path, schema)
	if items, ok := schema["items"].(map[string]any); ok {
		walk(items, path+"[0]", visit)
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, property := range properties {
		walk(property.(map[string]any), path+"."+name, visit)
	}
}

// limit is what the schema says about the size of a value.
func limit(schema map[string]any, key string) string {
	if value, ok := schema[key]; ok {
		return fmt.Sprint(value)
	}
	return "unbounded"
}
