package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	kyaml "sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// maxListDepth bounds lists in lists.
const maxListDepth = 8

// parser reads the documents of one file.
type parser struct {
	file string
	set  *Set
}

// parse reads a file of one or several documents, in YAML or JSON.
func (p *parser) parse(content []byte) {
	for _, d := range documents(content) {
		p.document(d)
	}
}

// document is the text between two separators.
type document struct {
	text []byte
	// offset is how many lines stand before it.
	offset int
	// dropped is what stands beside the separator before it.
	dropped string
}

// documents splits at the lines that begin with three hyphens, as kubectl does.
// No line of a YAML value can begin so.
func documents(content []byte) []document {
	all := []document{{}}
	line := 0
	for text := range bytes.Lines(content) {
		last := &all[len(all)-1]
		if rest, ok := bytes.CutPrefix(text, []byte("---")); ok && (len(bytes.TrimSpace(rest)) == 0 || rest[0] == ' ' || rest[0] == '\t') {
			beside, _, _ := bytes.Cut(rest, []byte(" #"))
			all = append(all, document{offset: line + 1, dropped: string(bytes.TrimSpace(beside))})
		} else {
			last.text = append(last.text, text...)
		}
		line++
	}
	return all
}

func (p *parser) document(d document) {
	if d.dropped != "" && !strings.HasPrefix(d.dropped, "#") {
		p.problem(d.offset, "expected nothing beside ---, which kubectl would drop, found something: write it on the next line")
	}
	if onlyDirectives(d.text) {
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(d.text))
	var root, second yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		return // Nothing, or comments.
	case err != nil:
		p.unreadable(d, err)
		return
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		// Only after ... can there be another.
		end := bytes.Count(d.text[:max(bytes.Index(d.text, []byte("\n...")), 0)], []byte("\n"))
		p.problem(d.offset+end+2, "expected the end of the document after ..., where kubectl would drop what follows, found something: write --- instead")
		return
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return // It is no object.
	}
	p.object(d, root.Content[0])
}

// object takes an object, if it is of a kind that is looked at. What is in it is
// read as kubectl reads it, so that a plain yes is what it is there.
func (p *parser) object(d document, node *yaml.Node) {
	if line := joined(node); line > 0 {
		p.problem(d.offset+line, "expected each object in a document of its own, found another kind after that of a ModuleSource: write --- between them")
		return
	}
	o := &Object{node: node, offset: d.offset, Position: Position{File: p.file}}
	text, err := kyaml.YAMLToJSON(d.text)
	if err == nil {
		err = utiljson.Unmarshal(text, &o.Content)
	}
	if err != nil {
		if isWanted(scalar(node, "apiVersion"), scalar(node, "kind")) {
			p.unreadable(d, err)
		}
		return
	}
	kind := o.kind()
	if !isWanted(o.text("apiVersion"), kind) {
		return
	}
	p.take(o, kind, isList(o.text("apiVersion"), kind), maxListDepth)
}

// joined is the line of the kind that stands after that of a ModuleSource in one
// document, which is the text of several objects without a separator; 0 for none.
// kubectl takes the last kind, and nobody would check the ModuleSource.
func joined(node *yaml.Node) int {
	line, source := 0, false
	for i := 0; i+1 < len(node.Content); i += 2 {
		if key, value := node.Content[i], node.Content[i+1]; key.Value == "kind" {
			source = source || value.Value == v1alpha1.ModuleSourceKind
			if line = 0; source && value.Value != v1alpha1.ModuleSourceKind {
				line = key.Line
			}
		}
	}
	return line
}

// isWanted reports whether objects of a kind are looked at. What kind it is, is
// what kubectl takes it for: of a kind that is written twice, or in a roundabout
// way, the nodes of the text say something else.
func isWanted(apiVersion, kind string) bool {
	return isList(apiVersion, kind) || isReference(apiVersion, kind) || isSource(apiVersion, kind)
}

func isList(apiVersion, kind string) bool {
	return strings.HasSuffix(kind, "List") && (group(apiVersion) == "" || group(apiVersion) == v1alpha1.GroupVersion.Group)
}

func (p *parser) take(o *Object, kind string, list bool, depth int) {
	o.Position = o.position(o.node)
	if !list {
		o.repeated = repeatedFields(o, o.node, "")
		p.set.Objects = append(p.set.Objects, o)
		return
	}
	items, ok := o.Content["items"].([]any)
	_, nodes := child(o.node, "items", maxHops)
	if !ok || depth == 0 {
		p.set.Problems = append(p.set.Problems, o.problem("items", "expected a list of objects as items of a %s", printable(kind, 64)))
		return
	}
	for i, item := range items {
		_, node := child(nodes, strconv.Itoa(i), maxHops)
		content, ok := item.(map[string]any)
		if !ok || node == nil {
			p.set.Problems = append(p.set.Problems, o.problem(fmt.Sprintf("items[%d]", i), "expected an object"))
			continue
		}
		p.item(&Object{Content: content, node: node, offset: o.offset, Position: Position{File: o.File}}, kind, o.text("apiVersion"), depth-1)
	}
}

// item takes an object out of a list. A list of one kind need not repeat it.
func (p *parser) item(o *Object, listKind, apiVersion string, depth int) {
	for o.node.Kind == yaml.AliasNode {
		o.node = o.node.Alias
	}
	if only := strings.TrimSuffix(listKind, "List"); only != "" && o.text("kind") == "" {
		o.Content["kind"], o.Content["apiVersion"] = only, apiVersion
	}
	if kind := o.kind(); isWanted(o.text("apiVersion"), kind) {
		p.take(o, kind, isList(o.text("apiVersion"), kind), depth)
	}
}

// scalar is the text of a field of the first level; "" for none.
func scalar(node *yaml.Node, name string) string {
	_, value := child(node, name, maxHops)
	for hops := 0; value != nil && value.Kind == yaml.AliasNode && hops < maxHops; hops++ {
		value = value.Alias
	}
	if value == nil || value.Kind != yaml.ScalarNode {
		return ""
	}
	return value.Value
}

// repeatedFields are the fields that a mapping holds twice: of the two, most
// tools take the last, and a reader the first.
func repeatedFields(o *Object, node *yaml.Node, path string) []Problem {
	var problems []Problem
	switch node.Kind {
	case yaml.SequenceNode:
		for i, item := range node.Content {
			problems = append(problems, repeatedFields(o, item, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case yaml.MappingNode:
		seen := map[string]int{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			field := strings.TrimPrefix(path+"."+key.Value, ".")
			if before, ok := seen[key.Value]; ok && !isMerge(key) {
				problems = append(problems, Problem{Position: o.position(key), Field: field, Message: fmt.Sprintf("expected each field once, found it in line %d already: remove one", before+o.offset)})
			}
			seen[key.Value] = key.Line
			problems = append(problems, repeatedFields(o, node.Content[i+1], field)...)
		}
	}
	return problems
}

// onlyDirectives reports whether a text is what may stand before the first
// separator, such as %YAML 1.2.
func onlyDirectives(text []byte) bool {
	found := false
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0 || line[0] == '#':
		case line[0] == '%':
			found = true
		default:
			return false
		}
	}
	return found
}

// yamlError is what the YAML libraries say where: they know no column.
var yamlError = regexp.MustCompile(`(?s)^(?:error converting YAML to JSON: )?yaml: (?:unmarshal errors:\s*)?(?:line (\d+): )?(.*)$`)

// unreadable notes that a document cannot be read.
func (p *parser) unreadable(d document, err error) {
	line, message := d.offset+1, err.Error()
	if m := yamlError.FindStringSubmatch(message); m != nil {
		message = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = d.offset + n
		}
	}
	message = "expected YAML or JSON: " + printable(message, 200)
	if bytes.Contains(d.text, []byte("{{")) {
		message += ": it looks like a template: render it, and check what comes out, such as helm template CHART | assay verify -f -"
	}
	p.problem(line, "%s", message)
}

func (p *parser) problem(line int, format string, args ...any) {
	p.set.Problems = append(p.set.Problems, Problem{Position: Position{File: p.file, Line: line}, Message: fmt.Sprintf(format, args...)})
}

// printable is text that a terminal may be given: in one line, without control
// characters, and no longer than so many bytes.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !strconv.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, text)
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
