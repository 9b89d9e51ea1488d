package monitoring

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// longestRunbook is a page: whoever is woken reads no more.
const longestRunbook = 80 // lines

// runbooks are the texts of docs/runbooks by alert.
func runbooks(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	files, err := filepath.Glob(filepath.Join(root(t), "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".md"); name != "README" {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found[name] = string(text)
		}
	}
	return found
}

func TestEachAlertHasARunbook(t *testing.T) {
	pages := runbooks(t)
	for _, rule := range groups(t).Rules() {
		page, ok := pages[rule.Alert]
		if !ok {
			t.Errorf("%s: expected docs/runbooks/%s.md", rule.Alert, rule.Alert)
		}
		delete(pages, rule.Alert)
		if lines := strings.Count(page, "\n"); lines > longestRunbook {
			t.Errorf("%s: expected a page of %d lines at most, found %d", rule.Alert, longestRunbook, lines)
		}
		var headings []string
		for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
			headings = append(headings, m[1])
		}
		want := []string{rule.Alert, "How bad it is", "Look first", "Causes, and what to do", "It is over", "Silencing"}
		if !slices.Equal(headings, want) {
			t.Errorf("%s: expected the headings %q, found %q", rule.Alert, want, headings)
		}
	}
	for name := range pages {
		t.Errorf("docs/runbooks/%s.md: there is no such alert", name)
	}
}

// documented are the fenced blocks of a language in the runbooks and in
// docs/monitoring.md.
func documented(t *testing.T, language string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(t), "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range append(files, filepath.Join(root(t), "docs", "monitoring.md")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)\n^```").FindAllStringSubmatch(string(text), -1) {
			found = append(found, m[1])
		}
	}
	return found
}

// TestDocumentedQueriesParse: as recording rules, which promtool parses.
func TestDocumentedQueriesParse(t *testing.T) {
	queries := documented(t, "promql")
	if len(queries) < 20 {
		t.Errorf("expected queries in the runbooks, found %d", len(queries))
	}
	folder := t.TempDir()
	var file strings.Builder
	file.WriteString("groups:\n- name: documented\n  rules:\n")
	for i, query := range queries {
		fmt.Fprintf(&file, "  - {record: documented:%d, expr: %q}\n", i, query)
	}
	if err := os.WriteFile(filepath.Join(folder, "rules.yaml"), []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := promtool(t, folder, "check", "rules", "rules.yaml"); err != nil {
		t.Error(err)
	}
}

// kinds are what the documented kubectl commands may name.
var kinds = map[string]bool{"modulesource": true, "modulesources": true, "pods": true, "lease": true, "deployment": true}

// logsOfAll are the logs of every replica, whole.
const logsOfAll = "kubectl logs --namespace assay-system --selector app.kubernetes.io/name=assay --prefix --tail -1 --since "

// TestDocumentedKubectl: what kubectl is to look at is there. The command lines
// of assay are held by its own tests.
func TestDocumentedKubectl(t *testing.T) {
	manager, err := os.ReadFile(filepath.Join(root(t), "config", "manager", "manager.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^kubectl (rollout restart|[a-z]+) ([a-z]+)(?:/([a-z-]+))?(.*)$`)
	checked := 0
	for _, block := range documented(t, "sh") {
		for _, logs := range regexp.MustCompile(`(?m)^kubectl logs .*$`).FindAllString(block, -1) {
			if checked++; !strings.HasPrefix(logs, logsOfAll) {
				t.Errorf("%s: expected %q: of a Deployment, kubectl picks one replica, which may be one that waits; by a selector, it stops after ten lines", logs, logsOfAll)
			}
		}
		for _, m := range command.FindAllStringSubmatch(block, -1) {
			if m[1] == "assay" || m[1] == "apply" {
				continue
			}
			checked++
			kind, name := m[2], m[3]
			if !kinds[kind] {
				t.Errorf("%s: expected one of %v, found %q", m[0], kinds, kind)
			}
			if kind == "deployment" && !strings.Contains(string(manager), "kind: Deployment\nmetadata:\n  name: "+name+"\n") {
				t.Errorf("%s: there is no Deployment %q", m[0], name)
			}
			if !strings.Contains(m[0], "--namespace ") {
				t.Errorf("%s: expected a namespace", m[0])
			}
		}
	}
	if checked < 10 {
		t.Errorf("expected kubectl commands, found %d", checked)
	}
}
