package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

type schema = apiextensionsv1.JSONSchemaProps

// page is the whole reference: a section for each version of the kind.
func page(definition *apiextensionsv1.CustomResourceDefinition) string {
	b := &strings.Builder{}
	names := definition.Spec.Names
	fmt.Fprintf(b, "# API reference\n\nGenerated from the schema that the API server holds objects to (`make generate`). [The API](api.md) says how the fields work together; the conditions and reasons in status have a table in the [README](../README.md#what-status-says-and-what-to-do).\n")
	for _, version := range definition.Spec.Versions {
		fmt.Fprintf(b, "\n## %s, %s/%s\n\n%s\n\n%s; `kubectl get %s`, or `%s`.\n", names.Kind, definition.Spec.Group, version.Name,
			text(version.Schema.OpenAPIV3Schema.Description), definition.Spec.Scope, names.Plural, strings.Join(names.ShortNames, "`, `"))
		for _, part := range []string{"spec", "status"} {
			section(b, part, version.Schema.OpenAPIV3Schema.Properties[part])
		}
	}
	return b.String()
}

// section is an object's: what it is, its fields, its rules, and then those of
// the objects in it.
func section(b *strings.Builder, path string, object schema) {
	fmt.Fprintf(b, "\n### `%s`\n\n", path)
	if object.Description != "" {
		fmt.Fprintf(b, "%s\n\n", text(object.Description))
	}
	fmt.Fprintf(b, "| field | type | what it is |\n|---|---|---|\n")
	rules := messages("", object.XValidations)
	var within []string
	for _, name := range ordered(object) {
		field := object.Properties[name]
		fmt.Fprintf(b, "| `%s`%s | %s | %s |\n", name, required(object, name), kind(field), escaped(text(field.Description)))
		if fields(field) != nil {
			within = append(within, name)
			continue // Its rules are in its own section.
		}
		rules = append(rules, messages(name, field.XValidations)...)
	}
	if len(rules) > 0 {
		fmt.Fprintf(b, "\nRefused otherwise:\n%s\n", strings.Join(rules, "\n"))
	}
	for _, name := range within {
		field := object.Properties[name]
		section(b, path+"."+name+suffix(field), *fields(field))
	}
}

// fields is the object that a field is or lists; nil for a plain value.
func fields(s schema) *schema {
	switch {
	case len(s.Properties) > 0:
		return &s
	case s.Items != nil && s.Items.Schema != nil && len(s.Items.Schema.Properties) > 0:
		return s.Items.Schema
	default:
		return nil
	}
}

func suffix(s schema) string {
	if s.Items != nil {
		return "[]"
	}
	return ""
}

// ordered are the names of an object's fields: those that are required first.
func ordered(object schema) []string {
	return slices.SortedFunc(maps.Keys(object.Properties), func(a, b string) int {
		if first := slices.Contains(object.Required, a); first != slices.Contains(object.Required, b) {
			if first {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
}

func required(object schema, name string) string {
	if slices.Contains(object.Required, name) {
		return " (required)"
	}
	return ""
}

// kind is the type of a value with its bounds and its default.
func kind(s schema) string {
	parts := []string{s.Type}
	switch {
	case s.Items != nil && s.Items.Schema != nil:
		parts[0] = "list of " + s.Items.Schema.Type + "s"
		parts = append(parts, bounds(s.MinItems, s.MaxItems, "")...)
		parts = append(parts, bounds(s.Items.Schema.MinLength, s.Items.Schema.MaxLength, " characters each")...)
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
		parts[0] = "map of " + s.AdditionalProperties.Schema.Type + "s"
	case s.Format == "date-time":
		parts[0] = "time"
	}
	parts = append(parts, bounds(s.MinLength, s.MaxLength, " characters")...)
	if s.Minimum != nil {
		parts = append(parts, fmt.Sprintf("at least %g", *s.Minimum))
	}
	if len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			values = append(values, "`"+strings.Trim(string(v.Raw), `"`)+"`")
		}
		parts = append(parts, "one of "+strings.Join(values, ", "))
	}
	// An object's default is what makes its status complete, for machines.
	if s.Default != nil && s.Type != "object" {
		parts = append(parts, "default `"+strings.Trim(string(s.Default.Raw), `"`)+"`")
	}
	return strings.Join(parts, "; ")
}

func bounds(least, most *int64, of string) []string {
	switch {
	case most == nil && least == nil:
		return nil
	case most == nil:
		return []string{fmt.Sprintf("at least %d%s", *least, of)}
	case least == nil || *least == 0:
		return []string{fmt.Sprintf("at most %d%s", *most, of)}
	default:
		return []string{fmt.Sprintf("%d to %d%s", *least, *most, of)}
	}
}

// messages are what the API server answers where a rule does not hold.
func messages(field string, rules apiextensionsv1.ValidationRules) []string {
	var list []string
	for _, rule := range rules {
		message := rule.Message
		if field != "" && !strings.HasPrefix(message, field) {
			message = field + ": " + message
		}
		list = append(list, "- "+escaped(message))
	}
	return list
}

// text is a description on one line.
func text(description string) string { return strings.Join(strings.Fields(description), " ") }

// escaped is a text that Markdown shows as it is, in a table, too.
func escaped(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`, "_", `\_`).Replace(text)
}
