package monitoring

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAlertsFireAndAreSilent runs each file of testdata: one an alert, and one a
// scenario in which nobody is to be told.
func TestAlertsFireAndAreSilent(t *testing.T) {
	rules := groups(t)
	for _, file := range testFiles(t, "*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			if err := testRules(t, rules, file); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEachAlertIsTested: with its text once, firing and silent.
func TestEachAlertIsTested(t *testing.T) {
	for _, rule := range groups(t).Rules() {
		text, err := os.ReadFile(filepath.Join("testdata", rule.Alert+".yaml"))
		if err != nil {
			t.Error(err)
			continue
		}
		for what, pattern := range map[string]string{
			"its text": `alertname: ` + rule.Alert + `\n    exp_alerts:\n    - `,
			"firing":   `exp_samples:\n    - \{labels: '\{alertname="` + rule.Alert + `"\}'`,
			"silent":   `exp_samples: \[\]`,
		} {
			if !regexp.MustCompile(pattern).Match(text) {
				t.Errorf("%s: expected a test of %s", rule.Alert, what)
			}
		}
	}
}

// severities: critical wakes somebody up, warning waits for the morning.
var severities = map[string]bool{"critical": true, "warning": true}

func TestAlertsSayWhatIsNeeded(t *testing.T) {
	folder := t.TempDir()
	writeRules(t, filepath.Join(folder, "rules.yaml"), groups(t))
	if err := promtool(t, folder, "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"); err != nil {
		t.Error(err)
	}
	for _, rule := range groups(t).Rules() {
		if !strings.HasPrefix(rule.Alert, "Assay") {
			t.Errorf("%s: expected a name that begins with Assay", rule.Alert)
		}
		if len(rule.Labels) != 1 || !severities[rule.Labels["severity"]] {
			t.Errorf("%s: expected the label severity, critical or warning, and no other, found %v", rule.Alert, rule.Labels)
		}
		for _, name := range []string{"summary", "description"} {
			if rule.Annotations[name] == "" {
				t.Errorf("%s: expected the annotation %s", rule.Alert, name)
			}
		}
		want := "https://github.com/assay-dev/assay/blob/main/docs/runbooks/" + rule.Alert + ".md"
		if found := rule.Annotations["runbook_url"]; found != want {
			t.Errorf("%s: expected runbook_url %s, found %s", rule.Alert, want, found)
		}
		if strings.Contains(rule.Expr, "by (namespace, name") && !strings.Contains(rule.Annotations["summary"], "{{ $labels.n") && rule.Alert != "AssayNoLeader" {
			t.Errorf("%s: expected the summary to name the ModuleSource", rule.Alert)
		}
	}
}

// TestAlertsAreListed compares the table in docs/monitoring.md with the rules.
func TestAlertsAreListed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "monitoring.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed, want []string
	for _, m := range regexp.MustCompile(`(?m)^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \| \S`).FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, m[1]+" "+m[2]+" "+m[3])
	}
	for _, rule := range groups(t).Rules() {
		want = append(want, rule.Alert+" "+rule.Alert+" "+rule.Labels["severity"])
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("docs/monitoring.md lists other alerts than there are (-rules +listed):\n%s", diff)
	}
}
