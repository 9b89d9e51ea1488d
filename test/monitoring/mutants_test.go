package monitoring

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// equivalent are changes that nothing can tell, and why.
var equivalent = map[string]string{
	`AssaySignatureAwaited: line 5, column 1: clause: "and on (namespace, name) assay_modulesource_condition{type=\"Verified\", reason=\"AwaitingSignature\"}\n" becomes ""`: "the next clause leaves out every other reason",
	`AssaySignatureAwaited: line 5, column 54: selector: "{type=\"Verified\", reason=\"AwaitingSignature\"}" becomes "{type=\"Verified\"}"`:                                  "the next clause leaves out every other reason",
	`AssayArtifactMissing: line 1, column 55: selector: "{type=\"ArtifactInStorage\", reason=\"ArtifactMissing\"}" becomes "{type=\"ArtifactInStorage\"}"`:                   "the next clause leaves out every other reason",
}

// TestAlertsAreHeldByTheirTests breaks each alert in one place at a time, a
// threshold, a window, a selector, a clause, a duration, and demands that a file
// of its tests, or else a scenario, fails.
func TestAlertsAreHeldByTheirTests(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	used := map[string]bool{}
	for gi, group := range groups(t).Groups {
		for ri, rule := range group.Rules {
			mutants := mutantsOf(rule)
			if len(mutants) < 2 {
				t.Errorf("%s: expected something to break, found %d", rule.Alert, len(mutants))
			}
			for _, name := range slices.Sorted(maps.Keys(mutants)) {
				if _, ok := equivalent[name]; ok {
					used[name] = true
					continue
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					broken := groups(t)
					broken.Groups[gi].Rules[ri] = mutants[name]
					if !fails(t, broken, rule.Alert) {
						t.Errorf("no test fails with\n%+v", mutants[name])
					}
				})
			}
		}
	}
	for name := range equivalent {
		if !used[name] {
			t.Errorf("there is no such change any more: %s", name)
		}
	}
}

func fails(t *testing.T, g Groups, alert string) bool {
	t.Helper()
	files := append(testFiles(t, alert+"*.yaml"), testFiles(t, "scenario_*.yaml")...)
	// The alert's own first: most fail there.
	slices.SortStableFunc(files, func(a, b string) int { return len(filepath.Base(a)) - len(filepath.Base(b)) })
	slices.SortStableFunc(files, func(a, b string) int { return strings.Index(a, "scenario_") - strings.Index(b, "scenario_") })
	return slices.ContainsFunc(files, func(file string) bool { return testRules(t, mentioned(t, g, file, alert), file) != nil })
}

// mentioned leaves out the alerts that a file does not speak of: they are as they
// were, so they are silent there, and cost time.
func mentioned(t *testing.T, g Groups, file, alert string) Groups {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rest Groups
	for _, group := range g.Groups {
		group.Rules = slices.DeleteFunc(slices.Clone(group.Rules), func(r Rule) bool {
			return r.Alert != alert && !strings.Contains(string(text), `alertname="`+r.Alert+`"`)
		})
		rest.Groups = append(rest.Groups, group)
	}
	return rest
}

var (
	numbers      = regexp.MustCompile(`(?:[ (])([0-9]+(?:\.[0-9]+)?)(?:[,)\n ]|$)`)
	windows      = regexp.MustCompile(`\[([0-9]+)[smhd]`)
	selectors    = regexp.MustCompile(`\{[^}]*\}`)
	matchers     = regexp.MustCompile(`([a-z]+)(!?[=~]~?)"([^"]*)"(?:, )?`)
	clauses      = regexp.MustCompile(`(?m)^(?:and|unless) [^\n]*[^(\n]$\n?`)
	aggregations = regexp.MustCompile(`(?:max|min|sum) by \([a-z, ]*\) `)
	durations    = regexp.MustCompile(`^([0-9]+)([smhd])$`)
)

// mutantsOf are the ways to break a rule, by name.
func mutantsOf(rule Rule) map[string]Rule {
	found := map[string]Rule{}
	add := func(what string, change func(*Rule)) {
		broken := rule
		change(&broken)
		found[rule.Alert+": "+what] = broken
	}
	// replace puts something else in place of what stands at from, to.
	replace := func(what string, from, to int, with string) {
		line := 1 + strings.Count(rule.Expr[:from], "\n")
		add(fmt.Sprintf("line %d, column %d: %s: %q becomes %q", line, from-strings.LastIndex(rule.Expr[:from], "\n"), what, rule.Expr[from:to], with),
			func(r *Rule) { r.Expr = rule.Expr[:from] + with + rule.Expr[to:] })
	}
	for _, at := range append(numbers.FindAllStringSubmatchIndex(rule.Expr, -1), windows.FindAllStringSubmatchIndex(rule.Expr, -1)...) {
		for _, with := range scaled(rule.Expr[at[2]:at[3]], rule.Expr[at[0]] == '[', rule.Expr[at[1]-1:at[1]]) {
			end := at[3]
			if rule.Expr[at[0]] == '[' {
				end = at[1]
			}
			replace("threshold", at[2], end, with)
		}
	}
	for _, s := range selectors.FindAllStringIndex(rule.Expr, -1) {
		breakSelector(rule.Expr, s[0], s[1], replace)
	}
	for _, at := range clauses.FindAllStringIndex(rule.Expr, -1) {
		replace("clause", at[0], at[1], "")
	}
	for _, at := range aggregations.FindAllStringIndex(rule.Expr, -1) {
		replace("aggregation", at[0], at[1], "")
	}
	if m := durations.FindStringSubmatch(rule.For); m != nil {
		for _, with := range scaled(m[1], true, m[2]) {
			add("for: "+with, func(r *Rule) { r.For = with })
		}
	}
	if m := durations.FindStringSubmatch(rule.KeepFiringFor); m != nil {
		add("keep_firing_for: none", func(r *Rule) { r.KeepFiringFor = "" })
		for _, with := range scaled(m[1], true, m[2])[:1] {
			add("keep_firing_for: "+with, func(r *Rule) { r.KeepFiringFor = with })
		}
	}
	return found
}

var seconds = map[string]int{"s": 1, "m": 60, "h": 3600, "d": 86400}

// scaled is three times a number, and a third of it.
func scaled(number string, duration bool, unit string) []string {
	n, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil:
		panic(err)
	case duration:
		n := int(n) * seconds[unit]
		return []string{fmt.Sprint(3*n, "s"), fmt.Sprint(n/3, "s")}
	case n == 0:
		return []string{"1e9"}
	}
	return []string{fmt.Sprint(3 * n), fmt.Sprint(n / 3)}
}

// breakSelector leaves one matcher out at a time, and one alternative of each.
func breakSelector(expr string, from, to int, replace func(what string, from, to int, with string)) {
	selector := expr[from:to]
	for _, m := range matchers.FindAllStringSubmatchIndex(selector, -1) {
		key, op, value := selector[m[2]:m[3]], selector[m[4]:m[5]], selector[m[6]:m[7]]
		// A reason is that of one condition, or of those that repeat it.
		if key != "type" || !strings.Contains(selector, "reason=") {
			replace("selector", from, to, strings.Replace(selector[:m[0]]+selector[m[1]:], ", }", "}", 1))
		}
		if alternatives := strings.Split(value, "|"); strings.HasSuffix(op, "~") && len(alternatives) > 1 {
			for i := range alternatives {
				rest := strings.Join(slices.Delete(slices.Clone(alternatives), i, i+1), "|")
				replace("alternative", from, to, selector[:m[6]]+rest+selector[m[7]:])
			}
		}
	}
}
