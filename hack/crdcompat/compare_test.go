package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/ptr"
)

const (
	name    = "modulesources.source.assay.dev"
	current = "../../config/crd/bases"
)

// real is the definition as it is.
func real(t *testing.T) *definition {
	t.Helper()
	found, err := read(current)
	if err != nil {
		t.Fatal(err)
	}
	return found[name]
}

// edit changes the schema at a path of the data, such as spec.tags[].name.
func edit(path string, change func(*schema)) func(*definition) {
	return func(d *definition) { at(d.Spec.Versions[0].Schema.OpenAPIV3Schema, strings.Split(path, "."), change) }
}

func at(s *schema, path []string, change func(*schema)) {
	if len(path) == 0 || path[0] == "" {
		change(s)
		return
	}
	name, items := strings.CutSuffix(path[0], "[]")
	child, ok := s.Properties[name]
	if !ok {
		panic("no field " + name)
	}
	if items {
		at(child.Items.Schema, path[1:], change)
	} else {
		at(&child, path[1:], change)
	}
	s.Properties[name] = child
}

func without(field string) func(*schema) {
	return func(s *schema) { delete(s.Properties, field) }
}

func add(field string, of schema) func(*schema) {
	return func(s *schema) { s.Properties[field] = of }
}

// another adds a version after a change of it.
func another(change func(*definition)) func(*definition) {
	return func(d *definition) {
		copied := d.DeepCopy()
		change(copied)
		v := copied.Spec.Versions[0]
		v.Name, v.Storage = "v1beta1", false
		d.Spec.Versions = append(d.Spec.Versions, v)
	}
}

func nothing(*definition) {}

const authorities = "spec.verify.authorities[]"

// What breaks is named with its path, and nothing else is named.
func TestBreaks(t *testing.T) {
	for title, c := range map[string]struct {
		change func(*definition)
		want   []string
	}{
		"a field removed":              {edit("spec", without("tag")), []string{"v1alpha1 spec.tag: removed"}},
		"a field removed with its own": {edit(authorities, without("keyless")), []string{"v1alpha1 spec.verify.authorities[*].keyless: removed"}},
		"a field renamed":              {edit("spec", func(s *schema) { s.Properties["ref"] = s.Properties["tag"]; delete(s.Properties, "tag") }), []string{"v1alpha1 spec.tag: removed"}},
		"a field of status removed":    {edit("status", without("observed")), []string{"v1alpha1 status.observed: removed"}},
		"a type":                       {edit("spec.suspend", func(s *schema) { s.Type = "string" }), []string{`v1alpha1 spec.suspend: type changed : "boolean" -> "string"`}},
		"a format":                     {edit("spec.tag", func(s *schema) { s.Format = "uri" }), []string{`v1alpha1 spec.tag: format "" became "uri"`}},
		"maxLength less":               {edit("spec.tag", func(s *schema) { s.MaxLength = ptr.To[int64](127) }), []string{"v1alpha1 spec.tag: maximum decreased : 128 -> 127"}},
		"maxLength new":                {edit("status.observed.digest", func(s *schema) { s.MaxLength = ptr.To[int64](71) }), []string{"v1alpha1 status.observed.digest: maximum constraint added when there was none previously : 71"}},
		"minLength more":               {edit("spec.tag", func(s *schema) { s.MinLength = ptr.To[int64](2) }), []string{"v1alpha1 spec.tag: minimum increased : 1 -> 2"}},
		"maxItems less":                {edit("spec.verify.authorities", func(s *schema) { s.MaxItems = ptr.To[int64](1) }), []string{"v1alpha1 spec.verify.authorities: maximum decreased : 16 -> 1"}},
		"minItems new":                 {edit("status.history", func(s *schema) { s.MinItems = ptr.To[int64](1) }), []string{"v1alpha1 status.history: minimum constraint added when there was none previously : 1"}},
		"uniqueItems":                  {edit("status.history", func(s *schema) { s.UniqueItems = true }), []string{"v1alpha1 status.history: uniqueItems is new"}},
		"maximum less":                 {edit("spec.verify.threshold", func(s *schema) { s.Maximum = ptr.To(1.0) }), []string{"v1alpha1 spec.verify.threshold: maximum constraint added when there was none previously : 1"}},
		"exclusive":                    {edit("spec.verify.threshold", func(s *schema) { s.ExclusiveMaximum = true }), []string{"v1alpha1 spec.verify.threshold: exclusiveMaximum is new"}},
		"multipleOf":                   {edit("spec.verify.threshold", func(s *schema) { s.MultipleOf = ptr.To(2.0) }), []string{"v1alpha1 spec.verify.threshold: multipleOf 2 is new"}},
		"an enumeration, less":         {edit("status.conditions[].status", func(s *schema) { s.Enum = s.Enum[:2] }), []string{`v1alpha1 status.conditions[*].status: allowed enum values removed : ["Unknown"]`}},
		"an enumeration, new":          {edit("spec.tag", func(s *schema) { s.Enum = []apiextensionsv1.JSON{{Raw: []byte(`"a"`)}} }), []string{`v1alpha1 spec.tag: enum constraint added when there was none previously : ["a"]`}},
		"a pattern, new":               {edit("spec.tag", func(s *schema) { s.Pattern = "^a" }), []string{`v1alpha1 spec.tag: pattern "" became "^a"`}},
		"a pattern, changed":           {edit("status.conditions[].reason", func(s *schema) { s.Pattern = "^a" }), []string{`v1alpha1 status.conditions[*].reason: pattern "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" became "^a"`}},
		"a default, changed":           {edit("spec.interval", func(s *schema) { s.Default.Raw = []byte(`"1h"`) }), []string{`v1alpha1 spec.interval: default value changed : "\"5m\"" -> "\"1h\""`}},
		"a default, gone":              {edit("spec.immutableVersions", func(s *schema) { s.Default = nil }), []string{`v1alpha1 spec.immutableVersions: default value removed : "true"`}},
		"required, an old field":       {edit("spec", func(s *schema) { s.Required = append(s.Required, "tag", "suspend") }), []string{"v1alpha1 spec: suspend is required now", "v1alpha1 spec: tag is required now"}},
		"required, a new field":        {edit(authorities, func(s *schema) { add("since", schema{Type: "string"})(s); s.Required = append(s.Required, "since") }), []string{"v1alpha1 spec.verify.authorities[*]: since is required now"}},
		"a rule, new": {edit("spec.suspend", func(s *schema) {
			s.XValidations = append(s.XValidations, apiextensionsv1.ValidationRule{Rule: "!self"})
		}), []string{`v1alpha1 spec.suspend: rule "!self" is new`}},
		"a rule, changed":            {edit("spec.timeout", func(s *schema) { s.XValidations[0].Rule = "false" }), []string{`v1alpha1 spec.timeout: rule "false" is new`}},
		"a rule, of new objects too": {edit("spec.timeout", func(s *schema) { s.XValidations[0].OptionalOldSelf = ptr.To(true) }), []string{`v1alpha1 spec.timeout: rule "self.matches('^([0-9]{1,9}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('10m')" is new`}},
		"unknown fields are dropped": {edit(authorities+".key", func(s *schema) { s.XPreserveUnknownFields = nil }), []string{"v1alpha1 spec.verify.authorities[*].key: unknown fields are dropped now"}},
		"a list is merged otherwise": {edit("status.conditions", func(s *schema) { s.XListType = ptr.To("set") }), []string{`v1alpha1 status.conditions: list type "map" became "set"`}},
		"a list's keys":              {edit("status.conditions", func(s *schema) { s.XListMapKeys = []string{"reason"} }), []string{`v1alpha1 status.conditions: list map keys ["type"] became ["reason"]`}},
		"a map is merged otherwise":  {edit("spec.verify", func(s *schema) { s.XMapType = ptr.To("atomic") }), []string{`v1alpha1 spec.verify: map type "" became "atomic"`}},
		"a map's values":             {edit("status.artifact.metadata", func(s *schema) { s.AdditionalProperties.Schema.MaxLength = ptr.To[int64](9) }), []string{"v1alpha1 status.artifact.metadata[*]: maximum constraint added when there was none previously : 9"}},
		"nothing that anybody knows": {edit("spec.tag", func(s *schema) { s.XIntOrString = true }), []string{"v1alpha1 spec.tag: unhandled changes found"}},
		"one of several":             {edit("spec", func(s *schema) { s.OneOf = []schema{{Required: []string{"tag"}}} }), []string{"v1alpha1 spec: unhandled changes found"}},
		"the group":                  {func(d *definition) { d.Spec.Group = "assay.dev" }, []string{`group: "source.assay.dev" became "assay.dev"`}},
		"the scope":                  {func(d *definition) { d.Spec.Scope = "Cluster" }, []string{`scope: "Namespaced" became "Cluster"`}},
		"the kind":                   {func(d *definition) { d.Spec.Names.Kind = "Source" }, []string{`names.kind: "ModuleSource" became "Source"`}},
		"a short name":               {func(d *definition) { d.Spec.Names.ShortNames = nil }, []string{`names.shortNames: "modsrc" removed`}},
		"conversion": {func(d *definition) {
			d.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: "Webhook"}
		}, []string{`conversion: "None" became "Webhook"`}},
		"the status subresource": {func(d *definition) { d.Spec.Versions[0].Subresources = nil }, []string{"v1alpha1 subresource status: removed"}},
		"a version, not served":  {func(d *definition) { d.Spec.Versions[0].Served = false }, []string{"v1alpha1: not served any more"}},
		"a version, renamed":     {func(d *definition) { d.Spec.Versions[0].Name = "v1" }, []string{`storage version: "v1alpha1" became "v1"`, "v1alpha1: version removed"}},
		"a version more, stored": {func(d *definition) {
			another(nothing)(d)
			d.Spec.Versions[0].Storage, d.Spec.Versions[1].Storage = false, true
		}, []string{`storage version: "v1alpha1" became "v1beta1"`}},
		"a version more, field missing": {another(edit("spec", without("tag"))), []string{"v1alpha1 read as v1beta1 spec.tag: removed"}},
		"a version more, field more":    {another(edit("spec", add("since", schema{Type: "string"}))), []string{"v1beta1 read as v1alpha1 spec.since: removed"}},
	} {
		t.Run(title, func(t *testing.T) {
			before, after := real(t), real(t)
			c.change(after)
			var want []string
			for _, line := range c.want {
				want = append(want, name+" "+line)
			}
			slices.Sort(want)
			got := compare(map[string]*definition{name: before}, map[string]*definition{name: after})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What breaks nobody passes.
func TestDoesNotBreak(t *testing.T) {
	for title, change := range map[string]func(*definition){
		"nothing":                  nothing,
		"a field more":             edit("spec", add("since", schema{Type: "string", MaxLength: ptr.To[int64](9), Pattern: "^a", Default: &apiextensionsv1.JSON{Raw: []byte(`"a"`)}})),
		"a field more, with rules": edit(authorities, add("since", schema{Type: "object", Required: []string{"a"}, Properties: map[string]schema{"a": {Type: "string"}}, XValidations: apiextensionsv1.ValidationRules{{Rule: "true"}}})),
		"a text":                   edit("spec.tag", func(s *schema) { s.Description, s.Title, s.Example = "x", "y", &apiextensionsv1.JSON{Raw: []byte("1")} }),
		"maxLength more":           edit("spec.tag", func(s *schema) { s.MaxLength = ptr.To[int64](129) }),
		"maxLength gone":           edit("spec.tag", func(s *schema) { s.MaxLength = nil }),
		"minLength less":           edit("spec.tag", func(s *schema) { s.MinLength = nil }),
		"an enumeration, more":     edit("status.conditions[].status", func(s *schema) { s.Enum = append(s.Enum, apiextensionsv1.JSON{Raw: []byte(`"Maybe"`)}) }),
		"an enumeration, gone":     edit("status.conditions[].status", func(s *schema) { s.Enum = nil }),
		"a pattern, gone":          edit("status.conditions[].reason", func(s *schema) { s.Pattern = "" }),
		"a format, gone":           edit("status.observed.firstSeenAt", func(s *schema) { s.Format = "" }),
		"required, gone":           edit("", func(s *schema) { s.Required = nil }),
		"a rule, gone":             edit("spec.timeout", func(s *schema) { s.XValidations = nil }),
		"a rule's message":         edit("spec.timeout", func(s *schema) { s.XValidations[0].Message = "x" }),
		"null":                     edit("spec.tag", func(s *schema) { s.Nullable = true }),
		"unknown fields are kept":  edit("spec", func(s *schema) { s.XPreserveUnknownFields = ptr.To(true) }),
		"a printer column":         func(d *definition) { d.Spec.Versions[0].AdditionalPrinterColumns = nil },
		"a short name more":        func(d *definition) { d.Spec.Names.ShortNames = append(d.Spec.Names.ShortNames, "ms") },
		"a version more":           another(nothing),
		"a generator's annotation": func(d *definition) { d.Annotations = nil },
	} {
		t.Run(title, func(t *testing.T) {
			before, after := real(t), real(t)
			change(after)
			if got := compare(map[string]*definition{name: before}, map[string]*definition{name: after}); got != nil {
				t.Errorf("expected nothing, found %q", got)
			}
		})
	}
}

// What was wider before is narrower after, where the definition has none to take
// away today.
func TestBreaksBack(t *testing.T) {
	for title, c := range map[string]struct {
		widen func(*definition)
		want  string
	}{
		"null": {edit("spec.tag", func(s *schema) { s.Nullable = true }), "v1alpha1 spec.tag: not nullable is new"},
		"selectable fields": {func(d *definition) {
			d.Spec.Versions[0].SelectableFields = []apiextensionsv1.SelectableField{{JSONPath: ".spec.url"}}
		}, `v1alpha1 selectableFields: ".spec.url" removed`},
		"scale": {func(d *definition) {
			d.Spec.Versions[0].Subresources.Scale = &apiextensionsv1.CustomResourceSubresourceScale{}
		}, "v1alpha1 subresource scale: removed"},
		"any value": {edit("spec.tag", func(s *schema) { s.Type = "" }), `v1alpha1 spec.tag: type changed : "" -> "string"`},
	} {
		t.Run(title, func(t *testing.T) {
			before, after := real(t), real(t)
			c.widen(before)
			got := compare(map[string]*definition{name: before}, map[string]*definition{name: after})
			if diff := cmp.Diff([]string{name + " " + c.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What two versions did not agree on at the last release is not said again.
func TestSaysWhatIsNewBetweenVersions(t *testing.T) {
	before, after := real(t), real(t)
	change := another(edit("spec", without("tag")))
	change(before)
	change(after)
	if got := compare(map[string]*definition{name: before}, map[string]*definition{name: after}); got != nil {
		t.Errorf("expected nothing, found %q", got)
	}
	if got, want := compare(map[string]*definition{name: before}, nil), []string{name + " removed"}; !slices.Equal(got, want) {
		t.Errorf("expected %q, found %q", want, got)
	}
	if got := compare(nil, map[string]*definition{name: after}); got != nil {
		t.Errorf("expected a definition more to break nothing, found %q", got)
	}
}

// TestRun goes from one release to the next, as people do.
func TestRun(t *testing.T) {
	folder := t.TempDir()
	f := folders{current: filepath.Join(folder, "now"), baseline: filepath.Join(folder, "then"), exceptions: filepath.Join(folder, "exceptions.yaml")}
	content, err := os.ReadFile(filepath.Join(current, "source.assay.dev_modulesources.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(update bool, want string) {
		t.Helper()
		err := run(f, update)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Fatalf("expected %q, found %v", want, err)
		}
	}
	write(f.exceptions, exceptionsHeader+"[]\n")
	write(filepath.Join(f.baseline, "a.yaml"), string(content))
	write(filepath.Join(f.current, "a.yaml"), strings.Replace(string(content), "maxLength: 128", "maxLength: 127", 1))
	const line = name + " v1alpha1 spec.tag: maximum decreased : 128 -> 127"
	expect(false, line)
	expect(true, line)
	write(f.exceptions, "- change: '"+line+"'\n")
	expect(false, "expected a change and a reason")
	write(f.exceptions, "- change: '"+line+"'\n  reason: a tag has at most 128\n  until: never\n")
	expect(false, `unknown field "until"`)
	write(f.exceptions, "- change: '"+line+"'\n  reason: nobody has one that long\n")
	expect(false, "")
	expect(true, "")
	now, err := os.ReadFile(filepath.Join(f.baseline, "a.yaml"))
	if err != nil || !strings.Contains(string(now), "maxLength: 127") {
		t.Errorf("expected what is now to be the last release, found %v", err)
	}
	expect(false, "")
	write(f.exceptions, "- change: '"+line+"'\n  reason: nobody has one that long\n")
	expect(false, "expected changes that are there")
	if err := os.Remove(f.exceptions); err != nil {
		t.Fatal(err)
	}
	expect(false, "exceptions.yaml")
}
