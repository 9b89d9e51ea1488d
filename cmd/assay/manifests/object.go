package manifests

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// Object is one object of a manifest.
type Object struct {
	// Position of its first field.
	Position
	// Content is its JSON, as the API server would be sent it; nil for kinds that
	// are not looked at.
	Content map[string]any

	node *yaml.Node
	// offset is how many lines of the file stand before the node's document.
	offset int
	// repeated are the fields that stand there twice.
	repeated []Problem
}

// Problem is something that is wrong with a manifest.
type Problem struct {
	Position
	// Field is the path of the field, such as spec.url; "" for the whole.
	Field string `json:"field,omitempty"`
	// Message says what was expected and what was found.
	Message string `json:"message"`
}

// At is where a field stands, or the innermost one around it that does.
func (o *Object) At(path string) Position { return o.position(find(o.node, path)) }

func (o *Object) position(node *yaml.Node) Position {
	return Position{File: o.File, Line: node.Line + o.offset, Column: node.Column}
}

// problem is a problem with a field.
func (o *Object) problem(path, format string, args ...any) Problem {
	return Problem{Position: o.At(path), Field: path, Message: fmt.Sprintf(format, args...)}
}

// text is a field of the object's first level or of its metadata.
func (o *Object) text(path ...string) string {
	at := o.Content
	for _, name := range path[:len(path)-1] {
		at, _ = at[name].(map[string]any)
	}
	value, _ := at[path[len(path)-1]].(string)
	return value
}

func (o *Object) kind() string { return o.text("kind") }
func (o *Object) name() string { return o.text("metadata", "name") }

// namespace is the object's, or the one that it would be applied to.
func (o *Object) namespace(otherwise string) string {
	if namespace := o.text("metadata", "namespace"); namespace != "" {
		return namespace
	}
	return otherwise
}

// group is the API group; "" for the core's.
func group(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// isSource reports whether it is a ModuleSource, or was meant to be one.
func (o *Object) isSource() bool { return isSource(o.text("apiVersion"), o.kind()) }

func isSource(apiVersion, kind string) bool {
	return group(apiVersion) == v1alpha1.GroupVersion.Group || apiVersion == "" && kind == v1alpha1.ModuleSourceKind
}

// Kinds of other projects that become a Secret in the cluster, by API group.
const (
	sealedSecretGroup   = "bitnami.com"
	externalSecretGroup = "external-secrets.io"
)

// isReference reports whether it is something that a ModuleSource may name, or
// becomes that in the cluster.
func isReference(apiVersion, kind string) bool {
	switch group(apiVersion) {
	case "":
		return apiVersion == "v1" && (kind == "Secret" || kind == "ConfigMap")
	case sealedSecretGroup:
		return kind == "SealedSecret"
	case externalSecretGroup:
		return kind == "ExternalSecret"
	default:
		return false
	}
}
