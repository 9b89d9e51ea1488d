package manifests

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Stdin is the name of standard input, as it is typed and as it is reported.
const Stdin = "-"

// Position is where something stands.
type Position struct {
	// File as it was named, or found below a folder that was named; [Stdin].
	File string `json:"file"`
	// Line and Column count from 1; 0 is unknown.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// String is file:line:column, as compilers write it.
func (p Position) String() string {
	name := p.File
	if name == Stdin {
		name = "(stdin)"
	}
	switch {
	case p.Line == 0:
		return name
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", name, p.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", name, p.Line, p.Column)
	}
}

// maxHops bounds how many aliases and merged mappings are followed to find where
// a field stands: they may lead in a circle.
const maxHops = 64

// find returns the node of a field, such as spec.verify.authorities[0].name: its
// key, or the item of a list. Where there is none, it is the last one on the way
// that there is.
func find(object *yaml.Node, path string) *yaml.Node {
	at, found := object, object
	for _, name := range segments(path) {
		key, value := child(at, name, maxHops)
		if value == nil {
			return found
		}
		if found, at = key, value; key == nil {
			found = value
		}
	}
	return found
}

// child returns a field's key and value, or an item of a list without a key.
func child(parent *yaml.Node, name string, hops int) (key, value *yaml.Node) {
	if hops == 0 {
		return nil, nil
	}
	switch parent.Kind {
	case yaml.AliasNode:
		return child(parent.Alias, name, hops-1)
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(parent.Content) {
			return nil, parent.Content[i]
		}
	case yaml.MappingNode:
		return childOfMapping(parent, name, hops)
	}
	return nil, nil
}

func childOfMapping(parent *yaml.Node, name string, hops int) (key, value *yaml.Node) {
	for i := 0; i+1 < len(parent.Content); i += 2 {
		if parent.Content[i].Value == name {
			return parent.Content[i], parent.Content[i+1]
		}
	}
	for i := 0; i+1 < len(parent.Content); i += 2 {
		if !isMerge(parent.Content[i]) {
			continue
		}
		merged := []*yaml.Node{parent.Content[i+1]}
		if merged[0].Kind == yaml.SequenceNode {
			merged = merged[0].Content
		}
		for _, from := range merged {
			if key, value := child(from, name, hops-1); value != nil {
				return key, value
			}
		}
	}
	return nil, nil
}

func isMerge(key *yaml.Node) bool { return key.Tag == "!!merge" }

// segments splits a path of the API server's: names, and indexes or keys in
// brackets.
func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}
