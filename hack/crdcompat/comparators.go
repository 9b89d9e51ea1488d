package main

import (
	"errors"
	"fmt"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/crdify/pkg/config"
	"sigs.k8s.io/crdify/pkg/validations"
	"sigs.k8s.io/crdify/pkg/validations/property"
)

type comparator = validations.Comparator[schema]

// comparators are crdify's, and ours for what crdify does not know or names in
// no fixed order.
var comparators = append(append([]comparator{check(anyValue)}, crdifys()...), ours...)

// crdifys are those that are as they should be. A value more in an enumeration
// breaks nobody who writes one.
func crdifys() []comparator {
	all := []interface {
		comparator
		validations.Validation
	}{
		&property.Type{}, &property.Default{}, &property.Enum{EnumConfig: property.EnumConfig{AdditionPolicy: property.AdditionPolicyAllow}},
		&property.Maximum{}, &property.MaxItems{}, &property.MaxLength{}, &property.MaxProperties{},
		&property.Minimum{}, &property.MinItems{}, &property.MinLength{}, &property.MinProperties{},
	}
	var list []comparator
	for _, c := range all {
		c.SetEnforcement(config.EnforcementPolicyError)
		list = append(list, c)
	}
	return list
}

// check compares two schemas, and clears in both what it has compared.
type check func(was, is *schema) []string

// Compare is for crdify.
func (c check) Compare(was, is *schema) validations.ComparisonResult {
	var errs []error
	for _, text := range c(was, is) {
		errs = append(errs, errors.New(text))
	}
	return validations.HandleErrors("", config.EnforcementPolicyError, errs...)
}

var ours = []comparator{
	check(texts), check(required), check(pattern), check(format), check(rules),
	check(flags), check(multipleOf), check(merging), check(unknownFields), check(values),
}

// anyValue: crdify takes an enumeration that is gone for its values that are.
func anyValue(was, is *schema) []string {
	if len(is.Enum) == 0 {
		was.Enum = nil
	}
	return nil
}

// texts are for people.
func texts(was, is *schema) []string {
	for _, s := range []*schema{was, is} {
		s.Description, s.Title, s.Example, s.ExternalDocs = "", "", nil, nil
	}
	return nil
}

func required(was, is *schema) (found []string) {
	for _, name := range is.Required {
		if !slices.Contains(was.Required, name) {
			found = append(found, fmt.Sprintf("%s is required now", name))
		}
	}
	was.Required, is.Required = nil, nil
	return found
}

// pattern: whether one expression accepts all that another does, nobody tells.
func pattern(was, is *schema) (found []string) {
	if is.Pattern != "" && is.Pattern != was.Pattern {
		found = append(found, fmt.Sprintf("pattern %q became %q", was.Pattern, is.Pattern))
	}
	was.Pattern, is.Pattern = "", ""
	return found
}

func format(was, is *schema) (found []string) {
	if is.Format != "" && is.Format != was.Format {
		found = append(found, fmt.Sprintf("format %q became %q", was.Format, is.Format))
	}
	was.Format, is.Format = "", ""
	return found
}

// rules: a rule that was not there may refuse what was accepted. Messages may
// change.
func rules(was, is *schema) (found []string) {
	known := func(rule apiextensionsv1.ValidationRule) bool {
		return slices.ContainsFunc(was.XValidations, func(old apiextensionsv1.ValidationRule) bool {
			return old.Rule == rule.Rule && optional(old) == optional(rule)
		})
	}
	for _, rule := range is.XValidations {
		if !known(rule) {
			found = append(found, fmt.Sprintf("rule %q is new", rule.Rule))
		}
	}
	was.XValidations, is.XValidations = nil, nil
	return found
}

// optional tells whether a rule about transitions is asked of new objects too.
func optional(rule apiextensionsv1.ValidationRule) bool {
	return rule.OptionalOldSelf != nil && *rule.OptionalOldSelf
}

// flags are on or off, and one of the two is narrower.
func flags(was, is *schema) (found []string) {
	for _, f := range []struct {
		name           string
		narrow, before bool
	}{
		{"exclusiveMaximum", is.ExclusiveMaximum, was.ExclusiveMaximum},
		{"exclusiveMinimum", is.ExclusiveMinimum, was.ExclusiveMinimum},
		{"uniqueItems", is.UniqueItems, was.UniqueItems},
		{"not nullable", !is.Nullable, !was.Nullable},
	} {
		if f.narrow && !f.before {
			found = append(found, f.name+" is new")
		}
	}
	for _, s := range []*schema{was, is} {
		s.ExclusiveMaximum, s.ExclusiveMinimum, s.UniqueItems, s.Nullable = false, false, false, false
	}
	return found
}

func multipleOf(was, is *schema) (found []string) {
	if is.MultipleOf != nil && (was.MultipleOf == nil || *was.MultipleOf != *is.MultipleOf) {
		found = append(found, fmt.Sprintf("multipleOf %v is new", *is.MultipleOf))
	}
	was.MultipleOf, is.MultipleOf = nil, nil
	return found
}

// merging: how server-side apply merges lists and maps, and which items of a
// list are the same.
func merging(was, is *schema) (found []string) {
	value := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	if a, b := value(was.XListType), value(is.XListType); a != b {
		found = append(found, fmt.Sprintf("list type %q became %q", a, b))
	}
	if !slices.Equal(was.XListMapKeys, is.XListMapKeys) {
		found = append(found, fmt.Sprintf("list map keys %q became %q", was.XListMapKeys, is.XListMapKeys))
	}
	if a, b := value(was.XMapType), value(is.XMapType); a != b {
		found = append(found, fmt.Sprintf("map type %q became %q", a, b))
	}
	for _, s := range []*schema{was, is} {
		s.XListType, s.XListMapKeys, s.XMapType = nil, nil, nil
	}
	return found
}

// unknownFields: where they were kept, the controller saw them, and refused what
// it did not know.
func unknownFields(was, is *schema) (found []string) {
	keeps := func(s *schema) bool { return s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields }
	if keeps(was) && !keeps(is) {
		found = append(found, "unknown fields are dropped now")
	}
	was.XPreserveUnknownFields, is.XPreserveUnknownFields = nil, nil
	return found
}

// values: the schema of a map's values is a place of its own, if both have one.
func values(was, is *schema) []string {
	a, b := was.AdditionalProperties, is.AdditionalProperties
	if a != nil && b != nil && a.Schema != nil && b.Schema != nil {
		was.AdditionalProperties, is.AdditionalProperties = nil, nil
	}
	return nil
}
