// Package crd holds the generated CustomResourceDefinitions, for programs that
// judge objects as the API server would.
package crd

import _ "embed" // the definitions are files, which kubectl reads too

// ModuleSources is the definition of ModuleSource, in YAML.
//
//go:embed bases/source.assay.dev_modulesources.yaml
var ModuleSources []byte
