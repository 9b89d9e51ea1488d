package manifests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// reading is what a text is read as: kind, name and line of each object, and line
// and message of each problem.
func reading(content string) []string {
	set := &Set{}
	(&parser{file: "a.yaml", set: set}).parse([]byte(content))
	var all []string
	for _, o := range set.Objects {
		all = append(all, fmt.Sprintf("%s %s %d:%d", o.kind(), o.name(), o.Line, o.Column))
	}
	for _, p := range set.Problems {
		all = append(all, fmt.Sprintf("%d: %s", p.Line, p.Message))
	}
	return all
}

const (
	header   = "apiVersion: source.assay.dev/v1alpha1\nkind: ModuleSource\n"
	withName = header + "metadata: {name: %s}\n"
)

func TestDocuments(t *testing.T) {
	a, b := fmt.Sprintf(withName, "a"), fmt.Sprintf(withName, "b")
	tests := map[string]struct {
		content string
		want    []string
	}{
		"nothing":                     {"", nil},
		"comments":                    {"# a\n---\n# b\n", nil},
		"one":                         {a, []string{"ModuleSource a 1:1"}},
		"two":                         {a + "---\n" + b, []string{"ModuleSource a 1:1", "ModuleSource b 5:1"}},
		"separators all over":         {"---\n---\n" + a + "---\n---\n" + b + "---\n", []string{"ModuleSource a 3:1", "ModuleSource b 8:1"}},
		"comment beside a separator":  {"--- # first\n" + a + "---\t# second\n" + b, []string{"ModuleSource a 2:1", "ModuleSource b 6:1"}},
		"line ends of Windows":        {strings.ReplaceAll(a+"---\n"+b, "\n", "\r\n"), []string{"ModuleSource a 1:1", "ModuleSource b 5:1"}},
		"byte order mark":             {"\ufeff" + a, []string{"ModuleSource a 1:1"}},
		"directive":                   {"%YAML 1.1\n---\n" + a, []string{"ModuleSource a 3:1"}},
		"comment before":              {"\n# about a\n" + a, []string{"ModuleSource a 3:1"}},
		"content beside a separator":  {"--- {}\n" + a, []string{"ModuleSource a 2:1", "1: expected nothing beside ---, which kubectl would drop, found something: write it on the next line"}},
		"end of a document":           {a + "...\n" + b, []string{"4: expected the end of the document after ..., where kubectl would drop what follows, found something: write --- instead"}},
		"hyphens in a value":          {a + "x: |\n  ---\n  y\n-----: z\n", []string{"ModuleSource a 1:1"}},
		"JSON":                        {`{"apiVersion": "source.assay.dev/v1alpha1", "kind": "ModuleSource", "metadata": {"name": "a"}}`, []string{"ModuleSource a 1:1"}},
		"JSON with tabs":              {"{\n\t\"apiVersion\": \"source.assay.dev/v1alpha1\",\n\t\"kind\": \"ModuleSource\",\n\t\"metadata\": {\"name\": \"a\"}\n}\n", []string{"ModuleSource a 1:1"}},
		"a list of JSON":              {`[{"kind": "ModuleSource"}]`, nil},
		"no object":                   {"text\n---\n- a\n---\n1\n", nil},
		"other kinds":                 {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\napiVersion: example.org/v1\nkind: ModuleSource\n", nil},
		"without apiVersion":          {"kind: ModuleSource\nmetadata: {name: a}\n", []string{"ModuleSource a 1:1"}},
		"another kind of the group":   {"apiVersion: source.assay.dev/v1alpha1\nkind: ModuleSorce\nmetadata: {name: a}\n", []string{"ModuleSorce a 1:1"}},
		"no YAML":                     {a + "---\nkind: [\n---\n" + b, []string{"ModuleSource a 1:1", "ModuleSource b 7:1", "5: expected YAML or JSON: did not find expected node content"}},
		"template":                    {header + "metadata: {name: {{ .Values.name }}}\n", []string{"1: expected YAML or JSON: invalid map key: map[interface {}]interface {}{\".Values.name\":interface {}(nil)}: it looks like a template: render it, and check what comes out, such as helm template CHART | assay verify -f -"}},
		"binary":                      {"kind: \x00\x01", []string{"1: expected YAML or JSON: control characters are not allowed"}},
		"list":                        {"apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(a), "\n", "\n  ") + "\n", []string{"ModuleSource a 4:3"}},
		"list of the kind":            {"apiVersion: source.assay.dev/v1alpha1\nkind: ModuleSourceList\nitems: [{metadata: {name: a}}, {metadata: {name: b}}]\n", []string{"ModuleSource a 3:9", "ModuleSource b 3:32"}},
		"list in a list":              {"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Secret, metadata: {name: a}}]}\n", []string{"Secret a 4:40"}},
		"list without items":          {"apiVersion: v1\nkind: List\n", []string{"1: expected a list of objects as items of a List"}},
		"list of texts":               {"apiVersion: v1\nkind: List\nitems:\n- a\n", []string{"4: expected an object"}},
		"empty list":                  {"apiVersion: v1\nkind: List\nitems: []\n", nil},
		"alias as an item":            {"apiVersion: v1\nkind: List\nx: &x\n  " + strings.ReplaceAll(strings.TrimSpace(a), "\n", "\n  ") + "\nitems: [*x]\n", []string{"ModuleSource a 3:4"}},
		"a kind that stands twice":    {"apiVersion: v1\nkind: Service\n" + a, []string{"ModuleSource a 1:1"}},
		"a ModuleSource joined":       {a + "apiVersion: v1\nkind: ConfigMap\n", []string{"5: expected each object in a document of its own, found another kind after that of a ModuleSource: write --- between them"}},
		"a kind behind an alias":      {"x: [&k kind, &v apiVersion]\n*v : source.assay.dev/v1alpha1\n*k : ModuleSource\nmetadata: {name: a}\n", []string{"ModuleSource a 1:1"}},
		"a kind in base64":            {"apiVersion: !!binary c291cmNlLmFzc2F5LmRldi92MWFscGhhMQ==\nkind: !!binary TW9kdWxlU291cmNl\nmetadata: {name: a}\n", []string{"ModuleSource a 1:1"}},
		"an alias of what is missing": {header + "metadata: *x\n", []string{"1: expected YAML or JSON: unknown anchor 'x' referenced"}},
		"an alias of itself":          {header + "metadata: &x {a: *x}\n", []string{"1: expected YAML or JSON: anchor 'x' value contains itself"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, reading(tt.content)); diff != "" {
				t.Errorf("(-expected +found):\n%s", diff)
			}
		})
	}
}

// A billion laughs is refused in no time.
func TestAliasesAreBounded(t *testing.T) {
	content := header + "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 10; i++ {
		content += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10))
	}
	found := reading(content)
	if len(found) != 1 || !strings.Contains(found[0], "excessive aliasing") {
		t.Errorf("expected a problem, found %.300q", found)
	}
}

func TestPositions(t *testing.T) {
	content := "# one\n---\n" + header + `metadata:
  name: a
spec: &spec
  url: oci://a/b
  verify:
    <<: [{threshold: 1}, {denyDigests: [x]}]
    authorities:
      - name: one
        key: {data: x}
      - &two
        name: two
status:
  <<: *spec
`
	set := &Set{}
	(&parser{file: "a.yaml", set: set}).parse([]byte(content))
	for path, want := range map[string]string{
		"":                                  "a.yaml:3:1",
		"kind":                              "a.yaml:4:1",
		"metadata.name":                     "a.yaml:6:3",
		"metadata.namespace":                "a.yaml:5:1",
		"metadata.labels[a]":                "a.yaml:5:1",
		"spec.url":                          "a.yaml:8:3",
		"spec.version":                      "a.yaml:7:1",
		"spec.verify.threshold":             "a.yaml:10:11",
		"spec.verify.denyDigests[0]":        "a.yaml:10:41",
		"spec.verify.authorities":           "a.yaml:11:5",
		"spec.verify.authorities[0]":        "a.yaml:12:9",
		"spec.verify.authorities[0].key":    "a.yaml:13:9",
		"spec.verify.authorities[0].key.x":  "a.yaml:13:9",
		"spec.verify.authorities[1].name":   "a.yaml:15:9",
		"spec.verify.authorities[2].name":   "a.yaml:11:5",
		"spec.verify.authorities[-1].name":  "a.yaml:11:5",
		"status.url":                        "a.yaml:8:3",
		"status.verify.authorities[0].name": "a.yaml:12:9",
		"nowhere.at.all":                    "a.yaml:3:1",
	} {
		if found := set.Objects[0].At(path).String(); found != want {
			t.Errorf("%s: expected %s, found %s", path, want, found)
		}
	}
}

// What kubectl reads is what is judged: YAML 1.1.
func TestValuesAreThoseOfKubectl(t *testing.T) {
	set := &Set{}
	(&parser{file: "a.yaml", set: set}).parse([]byte(header + "spec: {a: yes, b: 0777, c: 1e3, d: on, e: 12345678901234567, f: ~, 1: one, g: 2026-01-31}\n"))
	want := map[string]any{"a": true, "b": int64(511), "c": int64(1000), "d": true, "e": int64(12345678901234567), "f": nil, "1": "one", "g": "2026-01-31"}
	if diff := cmp.Diff(want, set.Objects[0].Content["spec"]); diff != "" {
		t.Errorf("(-expected +found):\n%s", diff)
	}
}

func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadFolder(t *testing.T) {
	folder, outside := t.TempDir(), t.TempDir()
	one := fmt.Sprintf(withName, "a")
	write(t, outside, map[string]string{"secret.yaml": one})
	write(t, folder, map[string]string{
		"b.yaml": one, "a.yml": one, "c.JSON": one, "a/z.json": one, "d.txt": one, "e.yaml.bak": one,
		".hidden.yaml": one, ".git/a.yaml": one, "kustomization.yaml": one, "base/kustomization.yml": one, "base/a.yaml": one,
	})
	wantProblems := []string(nil)
	if runtime.GOOS != "windows" {
		for link, target := range map[string]string{
			"f-inside.yaml": "b.yaml", "g-outside.yaml": filepath.Join(outside, "secret.yaml"), "h-nowhere.yaml": "nowhere.yaml",
			"i-folder": "a", "j-folder.yaml": "a", "k-up.yaml": "../../../../../../etc/hosts",
		} {
			if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
				t.Fatal(err)
			}
		}
		wantProblems = []string{"d/g-outside.yaml", "d/h-nowhere.yaml", "d/k-up.yaml"}
	}
	t.Chdir(filepath.Dir(folder))
	if err := os.Rename(folder, "d"); err != nil {
		t.Fatal(err)
	}
	set, err := Read([]string{"./d/", "d/b.yaml", "d"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var files, problems []string
	for _, o := range set.Objects {
		files = append(files, o.File)
	}
	for _, p := range set.Problems {
		problems = append(problems, p.File)
		if !strings.Contains(p.Message, "name what it leads to with -f") {
			t.Errorf("%s: found %q", p.File, p.Message)
		}
	}
	if diff := cmp.Diff([]string{"d/a/z.json", "d/a.yml", "d/b.yaml", "d/base/a.yaml", "d/c.JSON", "d/f-inside.yaml"}, files); diff != "" {
		t.Errorf("files (-expected +found):\n%s", diff)
	}
	if diff := cmp.Diff(wantProblems, problems); diff != "" {
		t.Errorf("problems (-expected +found):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"d/base", "d"}, set.Kustomizations); diff != "" {
		t.Errorf("kustomizations (-expected +found):\n%s", diff)
	}
}

func TestReadErrors(t *testing.T) {
	var notThere *NotFoundError
	if _, err := Read([]string{"nowhere"}, nil); !errors.As(err, &notThere) || notThere.Name != "nowhere" {
		t.Errorf("expected a NotFoundError, found %v", err)
	}
	_, err := Read([]string{Stdin}, strings.NewReader(strings.Repeat("#", maxFileBytes+1)))
	if err == nil || !strings.Contains(err.Error(), "(stdin): expected at most") {
		t.Errorf("expected a limit, found %v", err)
	}
	if _, err := Read([]string{Stdin}, strings.NewReader(strings.Repeat("#", maxFileBytes))); err != nil {
		t.Errorf("expected all that is within the limit to be read, found %v", err)
	}
	folder := t.TempDir()
	write(t, folder, map[string]string{"a\n::error::\x1b[2J.yaml": strings.Repeat("#", maxFileBytes+1)})
	if _, err = Read([]string{folder}, nil); err == nil || !strings.Contains(err.Error(), "a ::error::\ufffd[2J.yaml: expected at most") {
		t.Errorf("expected the name of the file in one line, found %v", err)
	}
	s := &Set{seen: map[string]bool{}, Files: maxFiles}
	if err := s.add(Stdin, strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "expected at most 20000 files") {
		t.Errorf("expected a limit, found %v", err)
	}
	s = &Set{seen: map[string]bool{}, bytes: maxTotalBytes - 1}
	if err := s.add(Stdin, strings.NewReader("##")); err == nil || !strings.Contains(err.Error(), "in all files") {
		t.Errorf("expected a limit, found %v", err)
	}
}

// FuzzRead: whatever a file holds, nothing panics, and what is said of it has a
// place in it and no control character.
func FuzzRead(f *testing.F) {
	server, err := NewAPIServer()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fmt.Sprintf(withName, "a") + "spec: {url: oci://ghcr.io/a/b, version: 1.x, version: x, verify: {authorities: [{name: a, key: {data: x}}], tresh: 1}}\n")
	f.Add("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {a: YQ==}, stringData: {b: c}}, *x]\n")
	f.Add("--- {}\nkind: {{ x }}\n...\n%YAML 1.1\n---\n" + header + "<<: &a {b: *a}\nmetadata: []\n")
	f.Add(header + "metadata: {name: 1, labels: {a: b}}\nspec:\n  verify: []\n")
	f.Fuzz(func(t *testing.T, content string) {
		set := &Set{}
		(&parser{file: "f", set: set}).parse([]byte(content))
		lines := strings.Count(content, "\n") + 1
		problems := set.Problems
		for _, o := range set.Objects {
			if o.isSource() {
				problems = append(problems, server.read(t.Context(), o, "default").problems...)
			}
		}
		_ = NewReferences(set, "default")
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines+1 {
				t.Errorf("line %d of %d: %s", p.Line, lines, p.Message)
			}
			if strings.ContainsFunc(p.Message, unicode.IsControl) {
				t.Errorf("control characters: %q", p.Message)
			}
		}
	})
}
