// Package docs holds the documents to what they say.
package docs

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/controlplane"
)

// documents returns every Markdown file of the project by path, but those of
// test data.
func documents(t *testing.T) map[string]string {
	t.Helper()
	root := root(t)
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 5 {
		t.Fatalf("expected the project's documents, found %d", len(found))
	}
	return found
}

func root(t *testing.T) string {
	t.Helper()
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// blocks returns the fenced blocks of a language.
func blocks(text, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// TestExamplesAreAccepted applies every ModuleSource in the documents to the
// API server, strictly, and parses the keys in them.
func TestExamplesAreAccepted(t *testing.T) {
	env, err := controlplane.Start(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	}()
	kube, err := client.New(env.Config, client.Options{Scheme: controllers.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	strict := client.WithFieldValidation(kube, metav1.FieldValidationStrict)
	ctx := context.Background()
	if err := kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "docs"}}); err != nil {
		t.Fatal(err)
	}
	examples := 0
	for path, text := range documents(t) {
		for _, block := range blocks(text, "yaml") {
			var obj v1alpha1.ModuleSource
			if err := yaml.UnmarshalStrict([]byte(block), &obj); err != nil {
				t.Errorf("%s: %v\n%s", path, err, block)
				continue
			}
			examples++
			obj.Namespace = "docs"
			if err := strict.Create(ctx, &obj, client.DryRunAll); err != nil {
				t.Errorf("%s: %v\n%s", path, err, block)
			}
			if unknown := obj.Spec.Verify.UnknownFields; len(unknown) > 0 {
				t.Errorf("%s: unknown fields %q", path, unknown)
			}
			for _, a := range obj.Spec.Verify.Authorities {
				if err := parses(a); err != nil {
					t.Errorf("%s: authority %s: %v", path, a.Name, err)
				}
			}
		}
	}
	if examples < 2 {
		t.Errorf("expected examples in the documents, found %d", examples)
	}
}

// parses reads the keys or identities of an authority as the controller does.
func parses(a v1alpha1.Authority) error {
	if a.Key != nil && a.Key.Data != "" {
		_, err := verify.ParseKeys([]byte(a.Key.Data))
		return err
	}
	if a.Keyless == nil {
		return nil
	}
	for _, i := range a.Keyless.Identities {
		spec := verify.IdentitySpec{Issuer: i.Issuer, IssuerRegExp: i.IssuerRegExp, Subject: i.Subject, SubjectRegExp: i.SubjectRegExp}
		for _, e := range i.Extensions {
			spec.Extensions = append(spec.Extensions, verify.Extension{Name: e.Name, Value: e.Value})
		}
		if _, err := verify.NewIdentity(spec); err != nil {
			return err
		}
	}
	return nil
}

// TestMakeTargetsExist looks up every "make TARGET" of the documents.
func TestMakeTargetsExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	mentioned := regexp.MustCompile("(?m)(?:^|`)make ([a-z./-]+(?: [a-z./-]+)*)")
	for path, text := range documents(t) {
		for _, m := range mentioned.FindAllStringSubmatch(text, -1) {
			for _, target := range strings.Fields(m[1]) {
				if !strings.Contains(string(makefile), "\n"+target+":") {
					t.Errorf("%s: make %s: no such target", path, target)
				}
			}
		}
	}
}

// TestLinksLead follows every relative link, to the heading that it names.
func TestLinksLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`)
	all := documents(t)
	for path, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, heading := path, m[2]
			if strings.Contains(m[1], "://") {
				continue
			}
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(path), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if page, ok := all[target]; ok && heading != "" && !slices.Contains(headings(page), heading) {
				t.Errorf("%s: %s: no such heading", path, m[0])
			}
		}
	}
}

// headings are what links to the headings of a page end in.
func headings(text string) []string {
	text = regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(text, "")
	var found []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		plain = regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(plain), "")
		found = append(found, strings.ReplaceAll(plain, " ", "-"))
	}
	return found
}

// TestReasonsAreDocumented compares the README's table with the constants of
// the API.
func TestReasonsAreDocumented(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root(t), "api", "v1alpha1", "conditions.go"))
	if err != nil {
		t.Fatal(err)
	}
	// Those that say nothing to do anything about.
	skip := []string{"ArtifactPublished", "NoArtifact", "Retrying"}
	var reasons []string
	for _, m := range regexp.MustCompile(`Reason[A-Za-z]+\s*=\s*"([A-Za-z]+)"`).FindAllStringSubmatch(string(source), -1) {
		if !slices.Contains(skip, m[1]) {
			reasons = append(reasons, m[1])
		}
	}
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	_, table, ok := strings.Cut(string(readme), "| reason | of | what to do |")
	if !ok {
		t.Fatal("expected the table of reasons in the README")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for _, line := range strings.Split(table, "\n") {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range regexp.MustCompile("`([A-Za-z]+)`").FindAllStringSubmatch(first, -1) {
			documented = append(documented, m[1])
		}
	}
	slices.Sort(reasons)
	slices.Sort(documented)
	if diff := cmp.Diff(reasons, documented); diff != "" {
		t.Errorf("the README's table differs from the API's reasons (-API +README):\n%s", diff)
	}
}

// TestMetricsAreThere: every metric that a document names is one of
// docs/metrics.md, which is made of the code.
func TestMetricsAreThere(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(assay_[a-z_]+)").FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = true
	}
	if len(listed) < 20 {
		t.Fatalf("expected metrics in docs/metrics.md, found %d", len(listed))
	}
	for path, text := range documents(t) {
		for _, name := range regexp.MustCompile(`\bassay_[a-z_]+(?:\.md)?`).FindAllString(text, -1) {
			plain := name
			if strings.HasSuffix(name, ".md") {
				continue // A command's page.
			}
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				plain = strings.TrimSuffix(plain, suffix)
			}
			if !listed[plain] && !listed[name] {
				t.Errorf("%s names %s, which is no metric", path, name)
			}
		}
	}
}

// TestTestsAreThere: a test that a document names shows something only while it
// is there.
func TestTestsAreThere(t *testing.T) {
	all := map[string]bool{}
	err := filepath.WalkDir(root(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((Test|Fuzz|Benchmark)\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			all[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	documents, err := filepath.Glob(filepath.Join(root(t), "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("`((Test|Fuzz|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(string(text), -1) {
			if named++; !all[m[1]] {
				t.Errorf("%s names %s, which is not there", filepath.Base(document), m[1])
			}
		}
	}
	if named < 20 {
		t.Errorf("expected the documents to name tests, found %d", named)
	}
}
