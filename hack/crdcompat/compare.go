package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

type (
	definition = apiextensionsv1.CustomResourceDefinition
	version    = apiextensionsv1.CustomResourceDefinitionVersion
)

// files are the names of the YAML files in a folder, which has some.
func files(folder string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: expected definitions, found none", folder)
	}
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return found, err
}

// read reads the definitions in a folder by name, strictly.
func read(folder string) (map[string]*definition, error) {
	names, err := files(folder)
	if err != nil {
		return nil, err
	}
	found := map[string]*definition{}
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return nil, err
		}
		d := &definition{}
		if err := yaml.UnmarshalStrict(raw, d); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(folder, name), err)
		}
		if d.Kind != "CustomResourceDefinition" || found[d.Name] != nil {
			return nil, fmt.Errorf("%s: expected a CustomResourceDefinition of a name of its own, found %s %q", filepath.Join(folder, name), d.Kind, d.Name)
		}
		found[d.Name] = d
	}
	return found, nil
}

// compare lists what breaks on the way from before to after, a line each, in a
// fixed order.
func compare(before, after map[string]*definition) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		changes := []string{"removed"}
		if now := after[name]; now != nil {
			changes = append(ofDefinition(before[name], now), ofVersions(before[name], now)...)
		}
		slices.Sort(changes)
		for _, change := range changes {
			found = append(found, name+" "+change)
		}
	}
	return found
}

// ofDefinition compares what is said once for all versions.
func ofDefinition(before, after *definition) []string {
	var found []string
	same := func(what, was, is string) {
		if was != is {
			found = append(found, fmt.Sprintf("%s: %q became %q", what, was, is))
		}
	}
	was, is := before.Spec, after.Spec
	same("group", was.Group, is.Group)
	same("scope", string(was.Scope), string(is.Scope))
	same("names.plural", was.Names.Plural, is.Names.Plural)
	same("names.kind", was.Names.Kind, is.Names.Kind)
	same("names.listKind", was.Names.ListKind, is.Names.ListKind)
	same("names.singular", was.Names.Singular, is.Names.Singular)
	same("storage version", storage(before), storage(after))
	same("conversion", conversion(before), conversion(after))
	found = append(found, gone("names.shortNames", was.Names.ShortNames, is.Names.ShortNames)...)
	return append(found, gone("names.categories", was.Names.Categories, is.Names.Categories)...)
}

// gone names what is in one list and not in the other.
func gone(what string, before, after []string) []string {
	var found []string
	for _, name := range before {
		if !slices.Contains(after, name) {
			found = append(found, fmt.Sprintf("%s: %q removed", what, name))
		}
	}
	return found
}

func storage(d *definition) string {
	for _, v := range d.Spec.Versions {
		if v.Storage {
			return v.Name
		}
	}
	return ""
}

func conversion(d *definition) string {
	if d.Spec.Conversion == nil {
		return string(apiextensionsv1.NoneConverter)
	}
	return string(d.Spec.Conversion.Strategy)
}

// ofVersions compares the versions that were there, and what is new between
// those that are served: without a webhook, what one version accepts is stored
// as it is, and read in the other.
func ofVersions(before, after *definition) []string {
	var found []string
	now := map[string]version{}
	for _, v := range after.Spec.Versions {
		now[v.Name] = v
	}
	for _, was := range before.Spec.Versions {
		is, ok := now[was.Name]
		if !ok {
			found = append(found, was.Name+": version removed")
			continue
		}
		if was.Served && !is.Served {
			found = append(found, was.Name+": not served any more")
		}
		found = append(found, prefix(was.Name, append(ofSurface(was, is), schemas(was, is)...))...)
	}
	known := betweenServed(before)
	for _, change := range betweenServed(after) {
		if !slices.Contains(known, change) {
			found = append(found, change)
		}
	}
	return found
}

func prefix(with string, lines []string) []string {
	for i := range lines {
		lines[i] = with + " " + lines[i]
	}
	return lines
}

// ofSurface compares what a version has beside its schema. Printer columns are
// for people.
func ofSurface(was, is version) []string {
	var found []string
	if was.Subresources != nil {
		if was.Subresources.Status != nil && (is.Subresources == nil || is.Subresources.Status == nil) {
			found = append(found, "subresource status: removed")
		}
		if was.Subresources.Scale != nil && (is.Subresources == nil || is.Subresources.Scale == nil) {
			found = append(found, "subresource scale: removed")
		}
	}
	selectable := func(v version) (paths []string) {
		for _, f := range v.SelectableFields {
			paths = append(paths, f.JSONPath)
		}
		return paths
	}
	return append(found, gone("selectableFields", selectable(was), selectable(is))...)
}

// betweenServed compares each served version with the others, if nothing
// converts them.
func betweenServed(d *definition) []string {
	var found []string
	if conversion(d) != string(apiextensionsv1.NoneConverter) {
		return nil
	}
	for _, from := range d.Spec.Versions {
		for _, to := range d.Spec.Versions {
			if from.Served && to.Served && from.Name != to.Name {
				found = append(found, prefix(from.Name+" read as "+to.Name, schemas(from, to))...)
			}
		}
	}
	return found
}
