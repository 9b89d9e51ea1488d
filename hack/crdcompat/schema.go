package main

import (
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/crdify/pkg/config"
	"sigs.k8s.io/crdify/pkg/validations"
)

type schema = apiextensionsv1.JSONSchemaProps

// place is a schema in a version's schema: of a field, of a list's items, of a
// map's values.
type place struct {
	path   string // spec.verify.authorities[*].name
	schema *schema
}

// flatten lists the places by where they are in the schema itself. crdify's own
// list goes by the path of the data, under which the branches of anyOf take
// their parent's place.
func flatten(v version) map[string]place {
	found := map[string]place{}
	if v.Schema == nil {
		return found
	}
	root := field.NewPath("^")
	validations.SchemaHas(v.Schema.OpenAPIV3Schema, root, root, nil,
		func(s *schema, at, path *field.Path, _ []*schema) bool {
			text := strings.TrimPrefix(strings.TrimPrefix(path.String(), "^"), ".")
			if text == "" {
				text = "the object"
			}
			found[at.String()] = place{path: text, schema: s.DeepCopy()} // It is reused.
			return false
		})
	return found
}

// schemas lists what a schema accepted and another does not, or takes for
// something else.
func schemas(was, is version) []string {
	before, after := flatten(was), flatten(is)
	var found []string
	for _, at := range slices.Sorted(maps.Keys(before)) {
		old := before[at]
		now, ok := after[at]
		switch {
		case ok:
			found = append(found, prefix(old.path+":", ofSchema(old.schema, now.schema))...)
		case !lost(at, before, after):
			found = append(found, old.path+": removed")
		}
	}
	return found
}

// lost tells whether what a place is in is removed too, which is said there.
func lost(at string, before, after map[string]place) bool {
	for i := range at {
		parent := at[:i]
		if _, is := before[parent]; !is || i == 0 {
			continue
		}
		if _, is := after[parent]; !is {
			return true
		}
	}
	return false
}

// ofSchema compares one place without what is below it. Whatever no comparator
// knows is a change that breaks.
func ofSchema(was, is *schema) []string {
	var found []string
	was, is = validations.DropChildrenPropertiesFromJSONSchema(was), validations.DropChildrenPropertiesFromJSONSchema(is)
	for _, result := range validations.CompareProperties(was, is, config.EnforcementPolicyError, comparators...) {
		for _, text := range result.Errors {
			// An unhandled change comes with its difference, line by line.
			text, _, _ = strings.Cut(text, " :\n")
			found = append(found, text)
		}
	}
	return found
}
