package manifests

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// maxProblems bounds what is said of one ModuleSource.
const maxProblems = 32

// moduleSource is a ModuleSource of a manifest, and what the API server makes of
// it.
type moduleSource struct {
	*Object
	namespace, name string
	// typed is what would be stored; nil where there are problems.
	typed    *v1alpha1.ModuleSource
	problems []Problem
}

// read answers to an object as the API server would, strictly, and as the
// controller, which refuses the fields that the API server keeps unknown.
func (s *APIServer) read(ctx context.Context, o *Object, namespace string) moduleSource {
	m := moduleSource{Object: o, namespace: o.namespace(namespace), name: o.name(), problems: o.repeated}
	if m.name == "" && o.text("metadata", "generateName") != "" {
		m.name = o.text("metadata", "generateName") + "(generated)"
	}
	if m.problems = append(m.problems, o.typeProblems()...); o.kind() != v1alpha1.ModuleSourceKind {
		return m // What it was meant to be is anybody's guess.
	}
	content := runtime.DeepCopyJSON(o.Content)
	metadata, isMap := content["metadata"].(map[string]any)
	if content["metadata"] == nil {
		metadata, isMap = map[string]any{}, true
		content["metadata"] = metadata
	}
	if isMap && (metadata["namespace"] == nil || metadata["namespace"] == "") {
		metadata["namespace"] = m.namespace
	}
	answer := s.Create(ctx, content)
	for _, err := range answer.Refused {
		m.problems = append(m.problems, o.problem(err.Field, "%s", wording(err)))
	}
	for _, path := range answer.Unknown {
		m.problems = append(m.problems, o.problem(path, "expected a field that the API server knows: is it misspelt, or misplaced?"))
	}
	typed, err := typed(content)
	if err != nil {
		if len(answer.Refused) == 0 {
			m.problems = append(m.problems, o.problem("", "expected a ModuleSource, found something else: %s", printable(err.Error(), 200)))
		}
		return m
	}
	for _, path := range typed.Spec.Verify.UnknownFields {
		m.problems = append(m.problems, o.problem("spec.verify."+path, "expected a field that the controller knows: is it misspelt, or misplaced?"))
	}
	if n := len(m.problems); n > maxProblems {
		m.problems = append(m.problems[:maxProblems:maxProblems], o.problem("", "found %d more problems", n-maxProblems))
	}
	if len(m.problems) == 0 {
		m.typed = typed
	}
	return m
}

// typeProblems are those with apiVersion and kind.
func (o *Object) typeProblems() []Problem {
	var problems []Problem
	if found := o.text("apiVersion"); found != v1alpha1.GroupVersion.String() {
		problems = append(problems, o.problem("apiVersion", "expected %s, found %q", v1alpha1.GroupVersion, printable(found, 100)))
	}
	if found := o.kind(); found != v1alpha1.ModuleSourceKind {
		problems = append(problems, o.problem("kind", "expected %s, found %q", v1alpha1.ModuleSourceKind, printable(found, 100)))
	}
	return problems
}

// wording is what the API server says, without the mention of a value that it does
// not show.
func wording(err *field.Error) string {
	text := err.ErrorBody()
	if err.Type == field.ErrorTypeInvalid && err.Detail != "" && (err.BadValue == nil || err.BadValue == any(field.OmitValueType{})) {
		text = err.Detail
	}
	return printable(text, 800)
}

// selection is the field that says which revision is wanted: what a pull request
// most likely edits.
func (m moduleSource) selection() string {
	spec := m.typed.Spec
	switch {
	case spec.Version != "":
		return "spec.version"
	case spec.Tag != "":
		return "spec.tag"
	case spec.Digest != "":
		return "spec.digest"
	default:
		return "spec.url"
	}
}
